# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measuring in turn, and the table that it gives."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Timed = Callable[[], "float | None"]


@dataclass
class Row:
    """One line: what was done, by whom, in how many seconds (median), and the ratio to the line's base."""

    what: str
    who: str
    seconds: float
    spread: float
    ratio: float
    note: str = ""


@dataclass
class Table:
    """The rows of one room, with its title and what a reader must know about how they were measured."""

    title: str
    remarks: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def measure(
        self, what: str, contestants: Mapping[str, Timed], *, rounds: int = 5, notes: Mapping[str, str] | None = None
    ) -> dict[str, float]:
        """Time the contestants in turn, round after round; the first is the base that ratios are against.

        :param contestants: name to a callable; what it returns, if anything, is taken as its seconds (for what is
            to be measured inside a longer action), else its wall clock time is.
        :returns: the median seconds of each
        """
        times: dict[str, list[float]] = {name: [] for name in contestants}
        for turn in range(rounds):
            order = list(contestants)
            if turn % 2:
                order.reverse()
            for name in order:
                begin = time.perf_counter()
                inner = contestants[name]()
                times[name].append(time.perf_counter() - begin if inner is None else inner)
        medians = {name: statistics.median(taken) for name, taken in times.items()}
        base = next(iter(medians.values()))
        for name, median in medians.items():
            spread = max(times[name]) - min(times[name])
            self.rows.append(Row(what, name, median, spread, median / base, (notes or {}).get(name, "")))
        return medians

    def markdown(self) -> str:
        """The table as a section of docs/benchmarks.md."""
        lines = [f"## {self.title}", "", *(f"{remark}\n" for remark in self.remarks)]
        lines += ["| what | who | seconds | max - min | ratio | |", "|---|---|--:|--:|--:|---|"]
        for row in self.rows:
            lines.append(
                f"| {row.what} | {row.who} | {row.seconds:.3f} | {row.spread:.3f} | {row.ratio:.2f} | {row.note} |"
            )
        return "\n".join(lines) + "\n"
