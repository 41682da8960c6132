# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tarballs: fetched from an address or taken from a file, checked, and unpacked without trust in what they hold."""

from __future__ import annotations

import hashlib
import http.client
import lzma
import os
import shutil
import stat
import tarfile
import typing as t
import zlib
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit

from ansible.module_utils.urls import open_url
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._http import without_login
from ansible_collections.lamp.cluster.plugins.module_utils._release.manifest import check_name, refuse, source_changed
from ansible_collections.lamp.cluster.plugins.module_utils._release.stage import FULL
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.cache import Cache

CHUNK = 1 << 20
SILENCE_SECONDS = 30
REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 10
# What tarfile and the file system say of a tarball that is damaged or makes no sense.
SENSELESS = (tarfile.TarError, EOFError, OSError, KeyError, ValueError, RecursionError, zlib.error, lzma.LZMAError)


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

    def make(folder: str) -> None:
        _unpack(path, path, folder)
        if sha256(path) != found:
            raise source_changed(path)

    return cache.made(f"tree-{found}", make)


def from_url(url: str, checksum: str, cache: Cache) -> str:
    """The tarball at ``url`` as a folder; it is fetched when no deploy from here has had it yet.

    :raises LampError: ``artifact_no_checksum``, ``artifact_not_fetched`` and those of `from_file`
    """
    name = without_login(url.partition("?")[0])  # of a token that is in it, nothing is shown
    if not checksum:
        raise LampError(
            "artifact_no_checksum",
            f"The source {name} has no checksum: what comes from a network must be known.",
            "Give its SHA-256 (deploy_source_checksum in a deploy).",
        )

    def make(folder: str) -> None:
        target = f"{folder}.tar"
        _fetch(url, name, target)
        if sha256(target) != plain(checksum):
            raise _wrong(name, sha256(target), checksum)
        _unpack(target, name, folder)

    return cache.made(f"tree-{plain(checksum)}", make)


def _fetch(url: str, name: str, target: str) -> None:
    try:
        answer = _open(url)
        with open(target, "wb") as stream:
            shutil.copyfileobj(answer, stream, CHUNK)
        if answer.length:
            raise OSError(f"it ended {answer.length} bytes too early")
    except (OSError, ValueError, http.client.HTTPException) as error:
        if getattr(error, "errno", None) in FULL:
            raise
        raise LampError(
            "artifact_not_fetched",
            f"{name} cannot be fetched: {error}.",
            "See that the controller reaches it; a password belongs into ~/.netrc.",
        ) from error


def _open(url: str) -> t.Any:
    """What is at ``url``. Each server on the way is asked with its own login: redirects that are followed inside of
    open_url take that of the first one along, to whomever.
    """
    for _hop in range(MAX_REDIRECTS):
        try:
            # As it lies there: many servers call what is in a .tar.gz the encoding of a transfer.
            return open_url(url, timeout=SILENCE_SECONDS, follow_redirects="no", decompress=False)
        except HTTPError as error:
            if error.code not in REDIRECTS or not error.headers.get("location"):
                raise
            url = redirected(url, urljoin(url, error.headers["location"]))
    raise OSError(f"it sends on more than {MAX_REDIRECTS} times")


def redirected(url: str, target: str) -> str:
    """The address to ask when ``url`` sends to ``target``. :raises OSError: where somebody could read along"""
    old, new = urlsplit(url), urlsplit(target)
    if new.scheme not in (old.scheme, "https"):
        raise OSError(f"it sends to {without_login(target.partition('?')[0])}, which is not encrypted")
    login, at, place = old.netloc.rpartition("@")
    if (new.scheme, new.netloc) == (old.scheme, place):
        return new._replace(netloc=f"{login}{at}{place}").geturl()
    return target


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
            while tar.fileobj and tar.fileobj.read(CHUNK):
                pass  # to the end, where its checksum is: tarfile stops before
    except SENSELESS as error:
        if getattr(error, "errno", None) in FULL:
            raise
        raise LampError(
            "artifact_bad_tarball",
            f"{name} cannot be unpacked: {str(error).partition(chr(10))[0].rstrip(':')}.",
            "Build the tarball again: as tar makes it, plain or compressed by gzip, bzip2 or xz, without absolute"
            " names, '..' or links that lead out of it.",
        ) from error


def extract(tar: tarfile.TarFile, folder: str) -> None:
    """Unpack folders, files and links, and nothing that could lead out of ``folder``.

    A second name of a file becomes a copy of what was unpacked: to go back in a compressed tarball takes long. Symbolic
    links are made when all else is there, so that no file can be written, or read, through one of them. Where they lead
    is checked with the rest of the tree. (tarfile's own filters came after Debian 12's Python.)

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
        with _content(tar, member, path, folder) as content, open(target, "wb") as stream:
            shutil.copyfileobj(content, stream, CHUNK)
        os.chmod(target, 0o755 if member.mode & stat.S_IXUSR else 0o644)
    for linkname, target in links:
        os.symlink(linkname, target)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str, folder: str) -> t.IO[bytes]:
    if member.islnk():
        first = os.path.normpath(member.linkname)
        check_name(first)
        return open(os.path.join(folder, first), "rb")
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        raise refuse(path, "is neither a file nor a folder nor a link")
    return content
