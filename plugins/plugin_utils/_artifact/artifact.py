# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn what a developer has (a folder, a tarball, a version in Git) into a release: an id by content, one archive."""

from __future__ import annotations

import fnmatch
import os
import stat
import typing as t
from urllib.parse import urlsplit

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
    refuse,
)
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact import git, tarball
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.build import built
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.cache import Cache

METADATA = ".lamp.yml"
NEVER = (".git",)  # is part of no release, and no build command gets to see it
LFS = b"version https://git-lfs.github.com/spec/"
LFS_SIZE = 1024  # no pointer of Git LFS is larger


class Options(t.NamedTuple):
    """The options of the module."""

    source: str
    cache_dir: str
    version: str = ""
    checksum: str = ""
    exclude: t.Sequence[str] = ()
    build: t.Sequence[str] = ()


def make(options: Options) -> dict[str, t.Any]:
    """What the module returns. :raises LampError: ``artifact_…``"""
    cache = Cache(options.cache_dir)
    cache.sweep()
    tree, commit = find(options, cache)
    if options.build:
        tree = built(tree, scan(tree, any_links=True), options.build, cache)
    manifest = scan(tree, options.exclude)
    if not manifest.entries:
        raise LampError("artifact_empty", f"There is nothing in {options.source} to deploy.", "Correct the source.")
    refuse_pointers(tree, manifest)
    metadata = read_metadata(tree)
    return {
        "release": manifest.id,
        "tree": tree,
        "archive": cache.made(f"{manifest.id}.tar.gz", lambda target: package.write(target, tree, manifest)),
        "commit": commit,
        "files": len(manifest.files),
        "bytes": manifest.size,
        "metadata": metadata,
        "drop_sessions": metadata.get("drop_sessions", False),
    }


def find(options: Options, cache: Cache) -> tuple[str, str]:
    """The source as a folder, and the commit if it is one. :raises LampError: ``artifact_no_source`` and others"""
    source = options.source
    if "://" in source:
        refuse_password(source)
    address = git.address(source, options.version)
    if address is not None:
        repository = git.Repository(address, cache)
        commit = repository.commit(options.version or "HEAD")
        return repository.export(commit), commit
    if options.version:
        raise LampError(
            "artifact_no_source",
            f"The source {source!r} has no versions: it is no Git repository.",
            "Give a local repository, or an address that begins with git+https://, git+ssh:// or git+file://.",
        )
    if source.startswith(("http://", "https://")):
        return tarball.from_url(source, options.checksum, cache), ""
    if os.path.isdir(source):
        return source, ""
    if os.path.isfile(source):
        return tarball.from_file(source, options.checksum, cache), ""
    raise LampError(
        "artifact_no_source",
        f"The source {source!r} (deploy_source in a deploy) does not exist on the controller.",
        "Give a folder, a tarball, the address of a tarball, or git+https://, git+ssh:// or git+file://.",
    )


def refuse_password(source: str) -> None:
    """:raises LampError: ``artifact_password_in_url``, as commands and records show addresses"""
    parts = urlsplit(source)
    if parts.username and parts.scheme == "git+https":
        raise LampError(
            "artifact_password_in_url",
            f"The address of the source at {parts.hostname} has a login in it, which the command line of Git would show"
            " to everybody on the controller.",
            "Leave it out, and give it to Git by a credential helper or ~/.netrc.",
        )
    if parts.password:
        raise LampError(
            "artifact_password_in_url",
            f"The address of the source at {parts.hostname} has a password in it, which logs would show.",
            "Use a key, Git's credential helper or ~/.netrc.",
        )


def refuse_pointers(tree: str, manifest: Manifest) -> None:
    """:raises LampError: ``artifact_lfs_pointer``, naming a file that is only a pointer to its content"""
    for entry in manifest.files:
        if len(LFS) < entry.size <= LFS_SIZE:
            with open(os.path.join(tree, entry.path), "rb") as stream:
                if stream.read(len(LFS)) == LFS:
                    raise LampError(
                        "artifact_lfs_pointer",
                        f"{entry.path} is a pointer of Git LFS: its content is not in the repository.",
                        "Deploy a folder after git lfs pull, or leave the file out with exclude.",
                    )


def is_left_out(path: str, rule: str) -> bool:
    """Whether the pattern ``rule`` matches ``path``, or its name; also as rsync, Git and shells write it."""
    rule = rule.rstrip("/")  # `tests/` is how a folder is often written
    rule = rule[2:] if rule.startswith("./") else rule
    shown = f"/{path}" if rule.startswith(("/", "**/")) else path
    return fnmatch.fnmatchcase(shown, rule) or fnmatch.fnmatchcase(os.path.basename(path), rule)


def scan(tree: str, exclude: t.Sequence[str] = (), any_links: bool = False) -> Manifest:
    """The manifest of a folder, without what a pattern of ``exclude`` matches, or is never part of a release."""
    entries: list[Entry] = []

    def excluded(path: str) -> bool:
        return any(is_left_out(path, rule) for rule in (*NEVER, *exclude))

    def walk(folder: str) -> None:
        with os.scandir(os.path.join(tree, folder)) as found:
            for item in sorted(found, key=lambda item: item.name):
                path = os.path.join(folder, item.name)
                if not excluded(path):
                    entries.append(_entry(item, path))
                    if entries[-1].kind == FOLDER:
                        walk(path)

    walk("")
    return Manifest(entries, any_links)


def _entry(item: os.DirEntry[str], path: str) -> Entry:
    status = item.stat(follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return Entry(path, LINK, os.readlink(item.path))
    if stat.S_ISDIR(status.st_mode):
        return Entry(path, FOLDER)
    if stat.S_ISREG(status.st_mode):
        kind = EXECUTABLE if status.st_mode & stat.S_IXUSR else FILE
        return Entry(path, kind, tarball.sha256(item.path), status.st_size)
    raise refuse(path, "is neither a file nor a folder nor a link")


def read_metadata(tree: str) -> dict[str, t.Any]:
    """The release's own ``.lamp.yml``. :raises LampError: ``artifact_bad_metadata``"""
    path = os.path.join(tree, METADATA)
    try:
        with open(path, encoding="utf-8") as stream:
            data = yaml.safe_load(stream) or {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise LampError("artifact_bad_metadata", f"{path} cannot be read: {error}.", "Correct it.") from error
    unknown = sorted(map(str, set(data) - {"drop_sessions"})) if isinstance(data, dict) else [str(data)]
    if unknown or not isinstance(data.get("drop_sessions", False), bool):
        raise LampError(
            "artifact_bad_metadata",
            f"{path}: {f'unknown is {unknown[0]!r}' if unknown else 'drop_sessions is neither true nor false'}.",
            "The only key is drop_sessions, which is true or false.",
        )
    return dict(data)
