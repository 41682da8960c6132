# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A package: a deterministic tar.gz of a release's files, with its manifest, which knows folders and links, in front.

A full package holds every file. A partial one leaves out those whose content a host can take from a release it has.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import os
import tarfile
import typing as t
import zlib

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release.manifest import (
    EXECUTABLE,
    NAME,
    Entry,
    Manifest,
    source_changed,
)

LEVEL = 6
DAMAGE = (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error)
PREFIX = 8  # bytes of a hash: enough to leave a file out by, as the host checks the whole hash


def contents(manifest: Manifest) -> str:
    """The contents that a release has, as a text short enough to be sent for thousands of files."""
    known = sorted({bytes.fromhex(entry.value)[:PREFIX] for entry in manifest.files})
    return base64.b64encode(b"".join(known)).decode("ascii")


def write(target: str, tree: str, manifest: Manifest) -> None:
    """Write the full package of ``tree`` to the file ``target``. The same manifest always gives the same bytes."""
    with _packing(target, manifest) as tar:
        for entry in manifest.files:
            with open(os.path.join(tree, entry.path), "rb") as stream:
                content = _Hashed(stream)
                try:
                    tar.addfile(_member(entry), t.cast(t.IO[bytes], content))
                except OSError as error:
                    raise source_changed(entry.path) if content.ended else error from error
                if content.digest.hexdigest() != entry.value:
                    raise source_changed(entry.path)


class _Hashed:
    """A file that is read once; ``ended`` is whether there is no more of it."""

    def __init__(self, stream: t.IO[bytes]) -> None:
        self.stream = stream
        self.digest = hashlib.sha256()
        self.ended = False

    def read(self, size: int = -1) -> bytes:
        chunk = self.stream.read(size)
        self.digest.update(chunk)
        self.ended = len(chunk) < size
        return chunk


def reduce(archive: str, target: str, known: str) -> None:
    """Write the package ``archive`` to ``target``, without the files whose contents are ``known`` (see `contents`)."""
    listed = base64.b64decode(known)
    prefixes = {listed[at : at + PREFIX] for at in range(0, len(listed), PREFIX)}
    with open(archive, "rb") as stream:
        reader = Reader(stream)
        wanted = {e.path: e for e in reader.manifest.files if bytes.fromhex(e.value)[:PREFIX] not in prefixes}
        with _packing(target, reader.manifest) as tar:
            for path, content in reader.files():
                if path in wanted:
                    tar.addfile(_member(wanted[path]), content)


@contextlib.contextmanager
def _packing(target: str, manifest: Manifest) -> t.Iterator[tarfile.TarFile]:
    """A package that begins with the manifest; durable at its end."""
    with open(target, "wb") as raw:
        packed = gzip.GzipFile("", "wb", LEVEL, raw, mtime=0)
        with packed, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            text = manifest.to_json().encode()
            first = tarfile.TarInfo(NAME)
            first.size = len(text)
            tar.addfile(first, io.BytesIO(text))
            yield tar
        raw.flush()
        os.fsync(raw.fileno())


def _member(entry: Entry) -> tarfile.TarInfo:
    member = tarfile.TarInfo(entry.path)
    member.mode = 0o755 if entry.kind == EXECUTABLE else 0o644
    member.size = entry.size
    return member


class Reader:
    """A package that is read once, from front to end: its manifest, then the files that it brings."""

    def __init__(self, content: t.IO[bytes]) -> None:
        try:
            self._tar = tarfile.open(fileobj=content, mode="r|gz")  # noqa: SIM115 (read as a stream until files() ends)
            first = self._tar.next()
            manifest = self._tar.extractfile(first) if first is not None and first.name == NAME else None
            if manifest is None:
                raise tarfile.ReadError(f"its first member is not {NAME}")
            self.manifest = Manifest.from_json(manifest.read())
        except (*DAMAGE, OSError) as error:
            raise _bad(error) from error

    def files(self) -> t.Iterator[tuple[str, t.IO[bytes]]]:
        """Path and content of each file in the package; the rest of a member goes unread when the caller moves on."""
        try:
            for member in self._tar:
                content = self._tar.extractfile(member) if member.isreg() else None
                if content is not None:
                    yield member.name, t.cast(t.IO[bytes], _Checked(content))
        except DAMAGE as error:
            raise _bad(error) from error


class _Checked:
    """A member's content, whose damage is told like that of all else."""

    def __init__(self, stream: t.IO[bytes]) -> None:
        self.stream = stream

    def read(self, size: int = -1) -> bytes:
        try:
            return self.stream.read(size)
        except DAMAGE as error:
            raise _bad(error) from error


def _bad(error: Exception) -> LampError:
    return LampError(
        "release_bad_package",
        f"The artifact is not a package of this collection, or it is damaged: {error}.",
        "Give the archive that lamp.cluster.artifact returned.",
    )
