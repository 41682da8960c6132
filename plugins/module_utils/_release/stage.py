# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a release on a host: written under a temporary name, made durable, then renamed; never half of one."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import secrets
import shutil
import stat
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _durable
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release.layout import (
    TEMPORARY,
    Layout,
    free_bytes,
    full_disk,
)
from ansible_collections.lamp.cluster.plugins.module_utils._release.manifest import (
    EXECUTABLE,
    FOLDER,
    LINK,
    Entry,
    Manifest,
)
from ansible_collections.lamp.cluster.plugins.module_utils._release.package import Reader
from ansible_collections.lamp.cluster.plugins.module_utils._release.paths import check_unmounted, remove_tree
from ansible_collections.lamp.cluster.plugins.module_utils._release.shared import Furnishing
from ansible_collections.lamp.cluster.plugins.module_utils._release.state import write_json

CHUNK = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT)


class BaseDiffers(Exception):
    """A release on this host lacks what its manifest promises: a full package is needed."""


class Base:
    """A release on this host that unchanged files can be taken from, by content. :raises BaseDiffers: if it has gone"""

    def __init__(self, layout: Layout, name: str, replaced: t.Container[str] = ()) -> None:
        """``replaced`` are paths where it has something else than it was packed with."""
        self.folder = layout.release(name)
        try:
            with open(layout.manifest(name), "rb") as stream:
                self.manifest = Manifest.from_json(stream.read())
        except (OSError, LampError) as error:
            raise BaseDiffers(name) from error
        self.paths = {entry.value: entry.path for entry in self.manifest.files if entry.path not in replaced}

    def open(self, value: str) -> t.IO[bytes]:
        """The file with the SHA-256 ``value``, if nobody changed it meanwhile. :raises BaseDiffers: without one"""
        try:
            number = os.open(os.path.join(self.folder, self.paths[value]), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (OSError, KeyError) as error:
            raise BaseDiffers(value) from error
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise BaseDiffers(value)
        return os.fdopen(number, "rb")


class Staging:
    """One release on its way to its folder."""

    def __init__(
        self, layout: Layout, name: str, furnishing: Furnishing, base: Base | None, replaced: t.Collection[str] = ()
    ) -> None:
        """``base`` is the release that the package counts on for the files which it does not bring.

        ``replaced`` are the places of what `run` is given to add: what the package has there is left out.
        """
        self.layout = layout
        self.name = name
        self.furnishing = furnishing
        self.owner = furnishing.owner
        self.base = base
        self.replaced = replaced
        # Of this moment, not of the build: PHP's opcode cache takes a file with an older time for the one it knows.
        self.times = (int(time.time()),) * 2
        self.folder = layout.release(TEMPORARY + secrets.token_hex(8))

    def run(self, content: t.IO[bytes], finish: t.Callable[[str], None]) -> None:
        """Stage what ``content`` packs; ``finish`` is called with the folder, to add what the package has not.

        :raises BaseDiffers: when a full package is needed
        :raises LampError: ``release_disk_full``, ``release_bad_package``, ``release_wrong_package``
        """
        reader = Reader(content)
        if reader.manifest.id != self.name:
            raise LampError(
                "release_wrong_package",
                f"The artifact is the release {reader.manifest.id}, not {self.name}.",
                "Give release and archive of the same lamp.cluster.artifact result.",
            )
        self._check_room(reader.manifest.size)
        try:
            os.mkdir(self.folder, 0o755)
            self._fill(reader)
            self.furnishing.furnish(self.folder, self.replaced)
            finish(self.folder)
            self._name(reader.manifest)
        except OSError as error:
            self._remove()
            if error.errno in FULL:
                raise full_disk(error, self.layout) from error
            raise
        except BaseException:
            self._remove()
            raise

    def _check_room(self, needed: int) -> None:
        if needed > free_bytes(self.layout.releases):
            raise full_disk(OSError(errno.ENOSPC, f"the release needs {needed // 1024} KiB"), self.layout)

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _fill(self, reader: Reader) -> None:
        unused = tuple(path + "/" for path in self.furnishing.not_needed())
        entries = {
            entry.path: entry
            for entry in reader.manifest.entries
            if not (entry.path + "/").startswith(unused or "\0")
            and (entry.kind == FOLDER or entry.path not in self.replaced)
        }
        for entry in entries.values():
            if entry.kind == FOLDER:
                os.mkdir(os.path.join(self.folder, entry.path), self.owner.folder)
        todo = {path: entry for path, entry in entries.items() if entry.is_file}
        for path, packed in reader.files():
            if path in todo:
                self._write(todo.pop(path), packed)
        for entry in todo.values():
            self._copy(entry)
        for entry in entries.values():
            if entry.kind == LINK:
                os.symlink(entry.value, os.path.join(self.folder, entry.path))
        self._own_folders(entries.values())

    def _write(self, entry: Entry, content: t.IO[bytes]) -> None:
        if not self._copy_verified(entry, content):
            raise LampError(
                "release_bad_package",
                f"{entry.path} in the artifact has not the content that its manifest promises.",
                "Build it again with lamp.cluster.artifact.",
            )

    def _copy(self, entry: Entry) -> None:
        """Take an unchanged file from the base, which may have been tampered with: the hash must be right."""
        if self.base is None:
            raise LampError(
                "release_bad_package",
                f"{entry.path} is not in the artifact, though its manifest lists it.",
                "Give the archive that lamp.cluster.artifact returned.",
            )
        with self.base.open(entry.value) as content:
            if not self._copy_verified(entry, content):
                raise BaseDiffers(entry.path)

    def _copy_verified(self, entry: Entry, content: t.IO[bytes]) -> bool:
        digest = hashlib.sha256()
        path = os.path.join(self.folder, entry.path)
        with open(path, "xb", buffering=0) as file:
            while True:
                chunk = content.read(CHUNK)
                if not chunk:
                    break
                digest.update(chunk)
                _write_all(file, chunk)
            self.owner.own(file.fileno(), self.owner.file_mode(entry.kind == EXECUTABLE))
            os.utime(file.fileno(), self.times)
        return digest.hexdigest() == entry.value

    def _own_folders(self, entries: t.Iterable[Entry]) -> None:
        for path in ["", *(entry.path for entry in entries if entry.kind == FOLDER)]:
            number = os.open(os.path.join(self.folder, path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            self.owner.own(number, self.owner.folder)
            os.close(number)

    def _name(self, manifest: Manifest) -> None:
        """Everything durable, records too, then the name: without it a record says nothing."""
        target = self.layout.release(self.name)
        replaces = os.path.lexists(target)
        if replaces:  # without a record it was not whole, and must not get that of the new one
            check_unmounted(target)
            sync_filesystem(self.folder)
            away = self.layout.release(TEMPORARY + secrets.token_hex(8))
            os.rename(target, away)
            os.rename(self.folder, target)
            remove_tree(away)
        record = {"release": self.name, "staged_at": now(), "files": len(manifest.files), "bytes": manifest.size}
        write_json(self.layout.record(self.name), record, flush=False)
        _durable.write(self.layout.manifest(self.name), manifest.to_json(), flush=False)
        sync_filesystem(self.layout.releases)
        if not replaces:
            os.rename(self.folder, target)
        _durable.sync_folder(self.layout.releases)


def _write_all(file: t.Any, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


def sync_filesystem(path: str) -> None:
    """One flush of the file system that ``path`` is on; hundreds of fsync calls take far longer."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if syncfs is None:
            os.sync()
        elif syncfs(number) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    finally:
        os.close(number)


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
