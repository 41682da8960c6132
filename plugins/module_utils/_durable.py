# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files that must be whole at any moment, also after a power failure."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
import typing as t
from pathlib import Path

TEMPORARY = ".writing-"  # what a write that was killed leaves: begins so, and may be removed
FOLDER_MODE = 0o755
DEAD_SECONDS = 86400  # no write takes as long


def write(path: str | os.PathLike[str], text: str, mode: int = 0o644, *, flush: bool = True) -> None:
    """Replace the file ``path`` by ``text``: a reader sees the old one or the new one. Durable on return.

    :param flush: false leaves it to the caller to make it durable, with much else, by one flush of the file system
    :raises OSError: then the old file is as it was
    """
    folder, name = os.path.split(os.fspath(path))
    prefix = f"{TEMPORARY}{name}-"
    number, temporary = tempfile.mkstemp(prefix=prefix, dir=folder or ".")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(number, mode)
            if flush:
                os.fsync(number)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sweep(folder or ".", prefix)
    if flush:
        sync_folder(folder or ".")


def _sweep(folder: str, prefix: str) -> None:
    """Remove what earlier writes of the same file left, which were killed."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for item in found:
            if item.name.startswith(prefix) and item.stat().st_mtime < time.time() - DEAD_SECONDS:
                os.unlink(item.path)


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make the folder ``path``, and those above it that are missing. All may enter them, whatever the umask is."""
    path = os.fspath(path)
    if os.path.isdir(path):
        return
    if os.path.dirname(path) != path:
        make_folder(os.path.dirname(path) or ".")
    try:
        os.mkdir(path)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
    os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | FOLDER_MODE)


@contextlib.contextmanager
def changing(path: Path, failure: t.Callable[[OSError], Exception]) -> t.Iterator[None]:
    """One process at a time changes the file ``path``, by the kernel's lock on a file beside it.

    :raises Exception: what ``failure`` makes of an OSError, here or within
    """
    try:
        make_folder(path.parent)
        with open(path.with_suffix(".lock"), "w", encoding="ascii") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise failure(error) from error


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make the names in ``folder`` durable."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
