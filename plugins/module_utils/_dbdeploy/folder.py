# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a folder of delta files, on the controller or on a host."""

from __future__ import annotations

import codecs
import os
import typing as t
from pathlib import Path

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError


def files(params: dict[str, t.Any]) -> list[tuple[str, str]]:
    """Names and texts as a module's ``params`` hand them over, or as they lie in the folder on this host.

    :raises LampError: see ``read``
    """
    if params["deltas"] is not None:
        return [(file["name"], file["content"]) for file in params["deltas"]]
    return [] if params["src"] is None else read(Path(params["src"]), params["encoding"])


def read(folder: Path, encoding: str) -> list[tuple[str, str]]:
    """Pairs of name and text of the files in ``folder``; only those that end in .sql are opened.

    :raises LampError: ``dbdeploy_no_folder``, ``dbdeploy_unreadable``
    """
    if not folder.is_dir():
        raise LampError(
            "dbdeploy_no_folder", f"The folder of deltas {folder} does not exist.", "Correct src, or make the folder."
        )
    try:
        entries = sorted((entry for entry in os.scandir(folder) if not entry.is_dir()), key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(str(folder), encoding, error) from error
    return [(entry.name, _text(entry, encoding) if entry.name.endswith(".sql") else "") for entry in entries]


def is_recoded(encoding: str) -> bool:
    """Whether text of this encoding is sent in another one, which is UTF-8."""
    try:
        return not codecs.lookup(encoding).name.startswith("utf-8")
    except LookupError:
        return False


def _text(entry: os.DirEntry[str], encoding: str) -> str:
    try:
        if not entry.is_file() and os.path.exists(entry.path):
            raise OSError("it is no file")  # a pipe would be waited for
        with open(entry.path, "rb") as file:  # in text mode a thousand of them take twice as long
            text = file.read().decode(encoding)
    except (OSError, UnicodeError, LookupError) as error:
        raise _unreadable(entry.path, encoding, error) from error
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _unreadable(path: str, encoding: str, error: Exception) -> LampError:
    return LampError(
        "dbdeploy_unreadable", f"{path} cannot be read as {encoding}: {error}.", "Correct it, or set encoding."
    )
