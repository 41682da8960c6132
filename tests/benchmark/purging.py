# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks of session_purge have in common: sizes, contestants' names, and how they are timed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from tests.benchmark.table import Table, Timed
from tests.support.modules import COLLECTIONS, ROOT

SIZES = (10_000, 100_000, 1_000_000)
IDS = 26  # characters of an id
DATA = 500  # bytes of a session
PAGE = 5000  # sessions that are made in one step
EXACT, WINDOW, SWEEP = "session_purge", "session_purge, dedicated, in the window", "the same, swept after the window"
ACROSS = ", across a network"  # behind the name of a line: the store is on another host
REMARK = (
    f"A session has {DATA} bytes. Ours is the purge itself with both its counts, in a process that runs; Ansible"
    " and Python take half a second more each time. Lines without a spread were measured once."
)


def rounds(size: int, once_from: int = SIZES[-1]) -> int:
    """How often a line is measured."""
    return 3 if size < once_from else 1


def timed(fill: Callable[[], None], action: Callable[[], object]) -> Timed:
    """Fill anew, then take the time of the action alone."""

    def run() -> float:
        fill()
        begin = time.perf_counter()
        action()
        return time.perf_counter() - begin

    return run


def shell(command: str, **environment: object) -> None:
    """Run a pipeline of commands."""
    variables = {name: str(value) for name, value in environment.items()}
    subprocess.run(
        ["bash", "-c", command], check=True, env={**os.environ, **variables}, stdout=subprocess.DEVNULL
    )  # fmt: skip


def file_system() -> str:
    """What kind of file system temporary files are on."""
    stat = ["stat", "--file-system", "--format", "%T", tempfile.gettempdir()]
    return subprocess.run(stat, capture_output=True, text=True, check=True).stdout.strip()


def note_peak(table: Table, what: str, store: str, options: dict[str, Any]) -> None:
    """Purge once more, in a process of its own, and note how many mebibytes that needs at most."""
    code = (
        "import re\nfrom tests.support.purge import purge\n"
        f"purge({store!r}, **{options!r})\n"
        "print(int(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]) // 1024)"
    )
    path = {**os.environ, "PYTHONPATH": f"{COLLECTIONS}:{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=path)
    table.remarks.append(f"Peak memory of a process that purges {what}: {int(done.stdout)} MiB.")
