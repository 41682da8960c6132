# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What figures were measured on: the machine, and the versions of what runs on it."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

PROGRAMS = {
    "MariaDB": ("mariadbd", "--version"),
    "PHP": ("php", "--version"),
    "Redis": ("redis-server", "--version"),
    "Memcached": ("memcached", "--version"),
}


def version(*command: str) -> str:
    """The first number with dots that a program says of itself."""
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+(\.\d+)+", said)
    if not found:
        raise RuntimeError(f"{' '.join(command)} tells no version: {said}")
    return found[0]


def machine() -> str:
    """Processors, memory, versions."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    programs = ", ".join(f"{name} {version(*command)}" for name, command in PROGRAMS.items())
    return (
        f"{os.cpu_count()} x {cpu[1] if cpu else platform.machine()}, {memory:.0f} GiB, Linux"
        f" {platform.release().partition('-')[0]}, ansible-core {importlib.metadata.version('ansible-core')}, Python"
        f" {platform.python_version()}, {programs}"
    )


def today() -> str:
    """The day."""
    return f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}"
