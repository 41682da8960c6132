# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of npm, installed under .cache."""

from __future__ import annotations

import fcntl
import json
import subprocess
from pathlib import Path

from tests.support.modules import ROOT


def installed(name: str, packages: dict[str, str], *options: str) -> Path:
    """The ``node_modules`` of ``.cache/node/<name>`` with ``packages`` and what they need, made at the first call."""
    folder = ROOT / ".cache" / "node" / name
    folder.mkdir(parents=True, exist_ok=True)
    wanted = json.dumps({"private": True, "dependencies": packages})
    done = folder / "installed"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not done.exists() or done.read_text() != wanted:
            (folder / "package.json").write_text(wanted)
            subprocess.run(
                ["npm", "install", *options, "--omit-lockfile-registry-resolved", "--no-audit", "--no-fund"],
                cwd=folder, check=True, capture_output=True,
            )  # fmt: skip
            done.write_text(wanted)
    return folder / "node_modules"
