# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as its users get it: a tarball, installed into an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.modules import BIN, ROOT

# Ansible's inclusion rules: an installed collection works with these four folders alone.
NEEDED = {"meta", "playbooks", "plugins", "roles", "MANIFEST.json", "FILES.json"}


def tool(name: str, *arguments: str, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """What a command of the virtual environment prints, run in the folder ``cwd``.

    :raises AssertionError: with what it said when it fails
    """
    done = subprocess.run(
        [str(BIN / name), *arguments], capture_output=True, text=True, check=False, cwd=cwd,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1", **(env or {})},
    )  # fmt: skip
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout + done.stderr


def build(folder: Path) -> Path:
    """The tarball that ``make dist`` builds, in ``folder``."""
    tool("ansible-galaxy", "collection", "build", "--output-path", str(folder))
    (tarball,) = folder.glob("lamp-cluster-*.tar.gz")
    return tarball


def install(tarball: Path, folder: Path) -> Path:
    """Install it into the empty ``folder`` without network, and keep only what must be enough; where it lies."""
    arguments = ("collection", "install", str(tarball), "-p", str(folder), "--offline")
    tool("ansible-galaxy", *arguments, env={"ANSIBLE_COLLECTIONS_PATH": str(folder)})  # else another copy is enough
    place = folder / "ansible_collections" / "lamp" / "cluster"
    for path in place.iterdir():
        if path.name not in NEEDED:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return place
