# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/benchmarks.md: a section for each room."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
REPORT = HERE.parents[1] / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Written by `make bench`. Contestants of one line run in turn, on the same servers; a figure is the median of the rounds
(of one where it says *once*), a ratio is against the first contestant of the line. Only ratios carry over to another
machine.
"""
MARK = "<!-- room: {} -->\n"


def rooms() -> list[str]:
    """The rooms that there are."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def module(room: str) -> ModuleType:
    """What measures a room: ``bench(table)`` and the ``HEADLINES`` that go into README."""
    return importlib.import_module(f"tests.benchmark.bench_{room}")


def sections() -> dict[str, str]:
    """The sections of the report as it stands, by room."""
    parts = re.split(MARK.format(r"(\w+)"), REPORT.read_text() if REPORT.exists() else "")
    return {room: text.strip() for room, text in zip(parts[1::2], parts[2::2])}


def write(written: dict[str, str]) -> None:
    """Write the report; a room that is gone loses its section."""
    body = "\n\n".join(MARK.format(room) + written[room] for room in rooms() if room in written)
    REPORT.write_text(f"{HEAD}\n{body}\n")
