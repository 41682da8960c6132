# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the benchmarks and write docs/benchmarks.md and README's table of them: ``python -m tests.benchmark [room ...]``.

A room is a module ``bench_<room>.py`` here with ``def bench(table: Table) -> None`` and a docstring whose first line
is its title. Rooms that are not named keep the section they have.
"""

from __future__ import annotations

import datetime
import importlib
import os
import platform
import re
import sys
from pathlib import Path

from tests.benchmark import readme
from tests.benchmark.table import Table
from tests.support.modules import COLLECTIONS

HERE = Path(__file__).parent
REPORT = HERE.parents[1] / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Written by `make bench`. Contestants of one line run in turn, on the same servers; a figure is the median of the rounds,
a ratio is against the first contestant of the line. Only ratios carry over to another machine.
"""


def machine() -> str:
    """What the figures were measured on."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} x {cpu.group(1) if cpu else platform.machine()}, {memory:.0f} GiB, Python"
        f" {platform.python_version()}, {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}"
    )


def sections() -> dict[str, str]:
    """The sections of the report as it stands, by room."""
    text = REPORT.read_text() if REPORT.exists() else ""
    parts = re.split(r"(?m)^<!-- room: (\w+) -->\n", text)
    return dict(zip(parts[1::2], parts[2::2]))


def main(rooms: list[str]) -> int:
    """Measure the rooms, all of them when none is named."""
    present = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    if unknown := sorted(set(rooms) - set(present)):
        print(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(present)}", file=sys.stderr)
        return 2
    sys.path.insert(0, str(COLLECTIONS))
    written = sections()
    for room in rooms or present:
        module = importlib.import_module(f"tests.benchmark.bench_{room}")
        table = Table((module.__doc__ or room).splitlines()[0].rstrip("."))
        print(f"bench: {table.title}", flush=True)
        module.bench(table)
        written[room] = f"{table.markdown()}\nMeasured on {machine()}.\n\n"
        print(table.markdown(), flush=True)
        body = "".join(f"<!-- room: {name} -->\n{written[name]}" for name in present if name in written)
        REPORT.write_text(f"{HEAD}\n{body.rstrip()}\n")
    readme.write()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
