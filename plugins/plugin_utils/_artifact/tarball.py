# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tarballs: fetched from an address or taken from a file, checked, and unpacked without trust in what they hold."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile

from ansible.module_utils.urls import open_url
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release.manifest import check_name, refuse
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.cache import Cache

CHUNK = 1 << 20
SILENCE_SECONDS = 30


def sha256(path: str) -> str:
    """The SHA-256 of a file's content, as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def plain(checksum: str) -> str:
    """The hexadecimal digits of a checksum as users write it."""
    return (checksum.partition(":")[2] or checksum).strip().lower()


def from_file(path: str, checksum: str, cache: Cache) -> str:
    """The tarball ``path`` as a folder. :raises LampError: ``artifact_wrong_checksum``, ``artifact_bad_tarball``"""
    found = sha256(path)
    if checksum and plain(checksum) != found:
        raise _wrong(path, found, checksum)
    return cache.made(f"tree-{found}", lambda folder: _unpack(path, path, folder))


def from_url(url: str, checksum: str, cache: Cache) -> str:
    """The tarball at ``url`` as a folder; it is fetched when no deploy from here has had it yet.

    :raises LampError: ``artifact_no_checksum``, ``artifact_not_fetched`` and those of `from_file`
    """
    if not checksum:
        raise LampError(
            "artifact_no_checksum",
            f"The source {url} has no checksum: what comes from a network must be known.",
            "Give its SHA-256 (deploy_source_checksum in a deploy).",
        )

    def make(folder: str) -> None:
        target = f"{folder}.tar"
        _fetch(url, target)
        if sha256(target) != plain(checksum):
            raise _wrong(url, sha256(target), checksum)
        _unpack(target, url, folder)

    return cache.made(f"tree-{plain(checksum)}", make)


def _fetch(url: str, target: str) -> None:
    try:
        answer = open_url(url, timeout=SILENCE_SECONDS, follow_redirects="all")
        with open(target, "wb") as stream:
            shutil.copyfileobj(answer, stream, CHUNK)
    except (OSError, ValueError) as error:
        raise LampError(
            "artifact_not_fetched",
            f"{url} cannot be fetched: {error}.",
            "See that the controller reaches it; a password belongs into ~/.netrc.",
        ) from error


def _wrong(what: str, found: str, checksum: str) -> LampError:
    return LampError(
        "artifact_wrong_checksum",
        f"{what} has the SHA-256 {found}, not {plain(checksum)}.",
        "Find out which of the two is right before anything is deployed.",
    )


def _unpack(path: str, name: str, folder: str) -> None:
    try:
        with tarfile.open(path) as tar:
            extract(tar, folder)
    except (tarfile.TarError, EOFError, OSError, KeyError, RecursionError) as error:
        raise LampError(
            "artifact_bad_tarball",
            f"{name} cannot be unpacked: {error}.",
            "Build the tarball again, without absolute names, '..' or links that lead out of it.",
        ) from error


def extract(tar: tarfile.TarFile, folder: str) -> None:
    """Unpack folders, files and links, and nothing that could lead out of ``folder``.

    Links are made when all else is there, so that no file can be written through one of them. Where they lead is
    checked with the rest of the tree. (tarfile's own filters came after Debian 12's Python.)

    :raises LampError: ``artifact_unsafe_entry``, naming the member
    """
    os.makedirs(folder, exist_ok=True)
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
