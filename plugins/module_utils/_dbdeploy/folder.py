# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a folder of delta files, on the controller or on a host."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError


def read(folder: Path, encoding: str) -> list[tuple[str, str]]:
    """Pairs of name and text of the files in ``folder``; only those that end in .sql are opened.

    :raises LampError: ``dbdeploy_no_folder``, ``dbdeploy_unreadable``
    """
    if not folder.is_dir():
        raise LampError(
            "dbdeploy_no_folder", f"The folder of deltas {folder} does not exist.", "Correct src, or make the folder."
        )
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if not entry.is_dir())
    except OSError as error:
        raise _unreadable(folder, encoding, error) from error
    return [(name, _text(folder / name, encoding) if name.endswith(".sql") else "") for name in names]


def _text(path: Path, encoding: str) -> str:
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no file")  # a pipe would be waited for
        with open(path, encoding=encoding) as file:
            return file.read()
    except (OSError, UnicodeError, LookupError) as error:
        raise _unreadable(path, encoding, error) from error


def _unreadable(path: Path, encoding: str, error: Exception) -> LampError:
    return LampError(
        "dbdeploy_unreadable", f"{path} cannot be read as {encoding}: {error}.", "Correct it, or set encoding."
    )
