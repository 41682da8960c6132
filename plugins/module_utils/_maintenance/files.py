# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders and links that a web server reads while they change."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.lamp.cluster.plugins.module_utils import _durable


def folder(path: Path, mode: int) -> None:
    """Make a folder of root's with this mode."""
    _durable.make_folder(path)
    path.chmod(mode)


def point(link: Path, target: str) -> None:
    """Make ``link`` a symbolic link to ``target``."""
    temporary = link.with_name(f".{link.name}.new")
    if temporary.is_symlink():
        temporary.unlink()
    temporary.symlink_to(target)
    os.replace(temporary, link)
    _durable.sync_folder(link.parent)


def has(path: Path, text: str) -> bool:
    """Whether a file holds exactly this."""
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, ValueError):
        return False
