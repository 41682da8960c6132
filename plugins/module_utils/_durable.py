# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files that must be whole at any moment, also after a power failure."""

from __future__ import annotations

import contextlib
import os
import tempfile

TEMPORARY = ".writing-"  # what a write that was killed leaves: begins so, and may be removed


def write(path: str | os.PathLike[str], text: str, mode: int = 0o644, *, flush: bool = True) -> None:
    """Replace the file ``path`` by ``text``: a reader sees the old one or the new one. Durable on return.

    :param flush: false leaves it to the caller to make it durable, with much else, by one flush of the file system
    :raises OSError: then the old file is as it was
    """
    folder, name = os.path.split(os.fspath(path))
    number, temporary = tempfile.mkstemp(prefix=f"{TEMPORARY}{name}-", dir=folder or ".")
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
    if flush:
        sync_folder(folder or ".")


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make the names in ``folder`` durable."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
