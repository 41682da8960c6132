# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn what a developer has (a folder, a tarball) into a release: an id by its content, and one archive."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import typing as t

import yaml
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release import package
from ansible_collections.lamp.cluster.plugins.module_utils._release.manifest import (
    EXECUTABLE,
    FILE,
    FOLDER,
    LINK,
    Entry,
    Manifest,
    check_name,
    refuse,
)

METADATA = ".lamp.yml"
CHUNK = 1 << 20


def sha256(path: str) -> str:
    """The SHA-256 of a file's content, as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def scan(tree: str, exclude: t.Sequence[str]) -> Manifest:
    """The manifest of a folder, without what a pattern of ``exclude`` matches by its path or its name."""
    entries: list[Entry] = []

    def excluded(path: str) -> bool:
        return any(fnmatch.fnmatch(path, rule) or fnmatch.fnmatch(os.path.basename(path), rule) for rule in exclude)

    def walk(folder: str) -> None:
        with os.scandir(os.path.join(tree, folder)) as found:
            for item in sorted(found, key=lambda item: item.name):
                path = os.path.join(folder, item.name)
                if not excluded(path):
                    entries.append(_entry(item, path))
                    if entries[-1].kind == FOLDER:
                        walk(path)

    walk("")
    return Manifest(entries)


def _entry(item: os.DirEntry[str], path: str) -> Entry:
    status = item.stat(follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return Entry(path, LINK, os.readlink(item.path))
    if stat.S_ISDIR(status.st_mode):
        return Entry(path, FOLDER)
    if stat.S_ISREG(status.st_mode):
        kind = EXECUTABLE if status.st_mode & stat.S_IXUSR else FILE
        return Entry(path, kind, sha256(item.path), status.st_size)
    raise refuse(path, "is neither a file nor a folder nor a link")


class Artifact:
    """A source on its way to a release; ``cache`` is a folder of the user's own."""

    def __init__(self, source: str, cache: str, checksum: str = "", exclude: t.Sequence[str] = (".git",)) -> None:
        self.source = os.path.abspath(os.path.expanduser(source)) if source else ""
        self.cache = os.path.expanduser(cache)
        self.checksum = checksum
        self.exclude = exclude

    def build(self) -> dict[str, t.Any]:
        """What the module returns. :raises LampError: ``artifact_…``"""
        os.makedirs(self.cache, mode=0o700, exist_ok=True)
        tree = self._tree()
        manifest = scan(tree, self.exclude)
        if not manifest.entries:
            raise LampError("artifact_empty", f"There is nothing in {self.source} to deploy.", "Correct the source.")
        metadata = read_metadata(tree)
        return {
            "release": manifest.id,
            "tree": tree,
            "archive": self._archive(tree, manifest),
            "files": len(manifest.files),
            "bytes": manifest.size,
            "metadata": metadata,
            "drop_sessions": metadata.get("drop_sessions", False),
        }

    def _tree(self) -> str:
        if os.path.isdir(self.source):
            return self.source
        if not os.path.isfile(self.source):
            raise LampError(
                "artifact_no_source",
                f"The source {self.source!r} (deploy_source in a deploy) does not exist on the controller.",
                "Give a folder or a tarball that is there.",
            )
        found = sha256(self.source)
        wanted = self.checksum.partition(":")[2] or self.checksum
        if wanted and wanted.lower() != found:
            raise LampError(
                "artifact_wrong_checksum", f"{self.source} has the SHA-256 {found}, not {wanted}.", "Fetch it again."
            )
        return self._unpack(found)

    def _unpack(self, digest: str) -> str:
        """The tarball as a folder in the cache, whole or not at all."""
        folder = os.path.join(self.cache, f"tree-{digest}")
        if os.path.isdir(folder):
            return folder
        temporary = tempfile.mkdtemp(prefix=".unpack-", dir=self.cache)
        try:
            with tarfile.open(self.source) as tar:
                extract(tar, temporary)
            os.rename(temporary, folder)
        except LampError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        except (tarfile.TarError, EOFError, OSError, KeyError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise LampError(
                "artifact_bad_tarball",
                f"{self.source} cannot be unpacked: {error}.",
                "Build the tarball again, without absolute names, '..' or links that lead out of it.",
            ) from error
        return folder

    def _archive(self, tree: str, manifest: Manifest) -> str:
        """One package for all hosts, made once."""
        target = os.path.join(self.cache, f"{manifest.id}.tar.gz")
        if not os.path.isfile(target):
            number, temporary = tempfile.mkstemp(prefix=".pack-", dir=self.cache)
            os.close(number)
            try:
                package.write(temporary, tree, manifest)
                os.rename(temporary, target)
            except BaseException:
                os.unlink(temporary)
                raise
        return target


def extract(tar: tarfile.TarFile, folder: str) -> None:
    """Unpack folders, files and links, and nothing that could lead out of ``folder``.

    Links are made when all else is there, so that no file can be written through one of them. Where they lead is
    checked with the rest of the tree. (tarfile's own filters came after Debian 12's Python.)

    :raises LampError: ``artifact_unsafe_entry``, naming the member
    """
    links = []
    for member in tar:
        path = os.path.normpath(member.name)
        if path == ".":
            continue
        check_name(member.name.rstrip("/") if member.name.startswith("/") else path)
        target = os.path.join(folder, path)
        if member.isdir():
            os.makedirs(target, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if member.issym():
            links.append((member.linkname, target))
            continue
        content = tar.extractfile(member) if member.isreg() or member.islnk() else None
        if content is None:
            raise refuse(path, "is neither a file nor a folder nor a link")
        with open(target, "wb") as stream:
            shutil.copyfileobj(content, stream, CHUNK)
        os.chmod(target, 0o755 if member.mode & stat.S_IXUSR else 0o644)
    for linkname, target in links:
        os.symlink(linkname, target)


def read_metadata(tree: str) -> dict[str, t.Any]:
    """The release's own ``.lamp.yml``. :raises LampError: ``artifact_bad_metadata``"""
    path = os.path.join(tree, METADATA)
    try:
        with open(path, encoding="utf-8") as stream:
            data = yaml.safe_load(stream) or {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise LampError("artifact_bad_metadata", f"{path} cannot be read: {error}.", "Correct it.") from error
    unknown = sorted(set(data) - {"drop_sessions"}) if isinstance(data, dict) else [str(data)]
    if unknown or not isinstance(data.get("drop_sessions", False), bool):
        raise LampError(
            "artifact_bad_metadata",
            f"{path}: {f'unknown is {unknown[0]!r}' if unknown else 'drop_sessions is neither true nor false'}.",
            "The only key is drop_sessions, which is true or false.",
        )
    return dict(data)
