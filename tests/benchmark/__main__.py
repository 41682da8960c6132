# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the benchmarks and write docs/benchmarks.md and README's table of them: ``python -m tests.benchmark [room ...]``.

A room is a module ``bench_<room>.py`` here with ``def bench(table: Table) -> None``, ``HEADLINES``, and a docstring
whose first line is its title. Rooms that are not named keep the section they have.
"""

from __future__ import annotations

import sys

from tests.benchmark import readme, report
from tests.benchmark.machine import machine, today
from tests.benchmark.table import Table
from tests.support.modules import COLLECTIONS


def main(rooms: list[str]) -> int:
    """Measure the rooms, all of them when none is named."""
    present = report.rooms()
    if unknown := sorted(set(rooms) - set(present)):
        print(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(present)}", file=sys.stderr)
        return 2
    sys.path.insert(0, str(COLLECTIONS))
    for room in rooms or present:
        module = report.module(room)
        table = Table((module.__doc__ or room).splitlines()[0].rstrip("."))
        print(f"bench: {table.title}", flush=True)
        module.bench(table)
        print(table.markdown(), flush=True)
        section = f"{table.markdown()}\nMeasured on {machine()}, {today()}."
        report.write({**report.sections(), room: section})
        readme.write()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
