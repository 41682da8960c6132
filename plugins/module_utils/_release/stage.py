# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a release on a host: written under a temporary name, made durable, then renamed; never half of one."""

from __future__ import annotations

import contextlib
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
from ansible_collections.lamp.cluster.plugins.module_utils._release.manifest import EXECUTABLE, FOLDER, LINK, Entry
from ansible_collections.lamp.cluster.plugins.module_utils._release.package import Reader
from ansible_collections.lamp.cluster.plugins.module_utils._release.paths import Owner
from ansible_collections.lamp.cluster.plugins.module_utils._release.shared import Furnishing
from ansible_collections.lamp.cluster.plugins.module_utils._release.state import write_json

CHUNK = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT)


class BaseDiffers(Exception):
    """The release that the package builds upon lacks what the package counts on."""


class Staging:
    """One release on its way to its folder."""

    def __init__(self, layout: Layout, name: str, furnishing: Furnishing, owner: Owner, mtime: int) -> None:
        self.layout = layout
        self.name = name
        self.furnishing = furnishing
        self.owner = owner
        self.times = (mtime, mtime)
        self.folder = layout.release(TEMPORARY + secrets.token_hex(8))

    def run(self, content: t.IO[bytes], base: str | None) -> dict[str, int]:
        """Stage what ``content`` packs; ``base`` is the release that unchanged files come from.

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
            counts = self._fill(reader, base)
            self.furnishing.furnish(self.folder)
            self._finish(reader)
        except OSError as error:
            self._remove()
            if error.errno in FULL:
                raise full_disk(error, self.layout) from error
            raise
        except BaseException:
            self._remove()
            raise
        return counts

    def _check_room(self, needed: int) -> None:
        if needed > free_bytes(self.layout.releases):
            raise full_disk(OSError(errno.ENOSPC, f"the release needs {needed // 1024} KiB"), self.layout)

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _fill(self, reader: Reader, base: str | None) -> dict[str, int]:
        unused = tuple(path + "/" for path in self.furnishing.not_needed())
        entries = {e.path: e for e in reader.manifest.entries if not (e.path + "/").startswith(unused or "\0")}
        for entry in entries.values():
            if entry.kind == FOLDER:
                os.mkdir(os.path.join(self.folder, entry.path), self.owner.folder)
        todo = {path: entry for path, entry in entries.items() if entry.is_file}
        sizes = {entry.path: entry.size for entry in reader.manifest.files}
        sent = size = 0
        for path, packed in reader.files():
            sent, size = sent + 1, size + sizes.get(path, 0)
            if path in todo:
                self._write(todo.pop(path), packed)
        for path, entry in todo.items():
            self._copy(entry, base, reader.base.get(path))
        for entry in entries.values():
            if entry.kind == LINK:
                os.symlink(entry.value, os.path.join(self.folder, entry.path))
        self._own_folders(entries.values())
        return {"files": sent, "bytes": size}

    def _write(self, entry: Entry, content: t.IO[bytes]) -> None:
        if not self._copy_verified(entry, content):
            raise LampError(
                "release_bad_package",
                f"{entry.path} in the artifact has not the content that its manifest promises.",
                "Build it again with lamp.cluster.artifact.",
            )

    def _copy(self, entry: Entry, base: str | None, source: str | None) -> None:
        """Take an unchanged file from the base, which may have been tampered with: the hash must be right."""
        if base is None or source is None:
            raise BaseDiffers(entry.path)
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            number = os.open(os.path.join(self.layout.release(base), source), flags)
        except OSError as error:
            raise BaseDiffers(entry.path) from error
        with os.fdopen(number, "rb") as content:
            if not stat.S_ISREG(os.fstat(number).st_mode) or not self._copy_verified(entry, content):
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

    def _finish(self, reader: Reader) -> None:
        """Everything durable, then the record, then the name."""
        sync_filesystem(self.folder)
        manifest = reader.manifest
        record = {"release": self.name, "staged_at": now(), "files": len(manifest.files), "bytes": manifest.size}
        write_json(self.layout.record(self.name), record)
        target = self.layout.release(self.name)
        if os.path.lexists(target):  # without a record it was not whole: nobody could have switched to it
            away = self.layout.release(TEMPORARY + secrets.token_hex(8))
            os.rename(target, away)
            os.rename(self.folder, target)
            remove_tree(away)
        else:
            os.rename(self.folder, target)
        _durable.sync_folder(self.layout.releases)


def _write_all(file: t.Any, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


def remove_tree(path: str) -> None:
    """Remove a folder or a link; rmtree itself does not follow links."""
    if os.path.islink(path) or not os.path.isdir(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    else:
        shutil.rmtree(path)


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
