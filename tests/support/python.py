# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another Python than the machine's, from another Debian release, and virtual environments made by it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from tests.support.debian import relink, unpacked
from tests.support.modules import ROOT

PIP_NEEDS = {"bullseye": ("python3-distutils",)}  # a part of Python that this Debian has in a package of its own


def interpreter(suite: str, version: str) -> Path:
    """``python<version>`` of the Debian release ``suite``, which finds its libraries where they lie.

    What is newer than this machine brings its own C library and loader; what is older runs on the machine's.
    """
    kept = (f"bin/python{version}", f"lib/python{version}", "lib/python3", "lib/*-linux-gnu/*.so*")
    packages = (f"python{version}", *PIP_NEEDS.get(suite, ()))
    usr = unpacked(ROOT / ".cache" / "python", suite, packages, kept)
    program = usr / "bin" / "python"
    if not program.exists():
        relink(usr, program.with_name(f"python{version}"))
        program.symlink_to(f"python{version}")
    return program


def environment(python: Path, packages: tuple[str, ...]) -> Path:
    """``bin/`` of a virtual environment of ``python`` with ``packages``."""
    folder = ROOT / ".cache" / "matrix" / hashlib.sha256(repr((str(python), packages)).encode()).hexdigest()[:12]
    done = folder / "done"
    if not done.exists():
        subprocess.run([str(python), "-m", "venv", "--clear", "--without-pip", str(folder)], check=True)
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--python", str(folder / "bin" / "python"), "install", *packages], check=True)
        done.touch()
    return folder / "bin"
