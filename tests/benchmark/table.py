# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measuring in turn, and the table that it gives."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

Timed = Callable[[], "float | None"]


def figure(value: float, digits: int = 3) -> str:
    """A number to so many digits, however small or large it is: 0.0000331, 1.05, 664."""
    rounded = float(f"{value:.{digits - 1}e}")
    places = max(0, digits - 1 - int(f"{rounded:e}".partition("e")[2]))
    return f"{rounded:.{places}f}"


@dataclass(frozen=True)
class Headline:
    """One row of README's table: a claim, and where its figures are.

    :param claim: what is done, in words for a reader who knows nothing of the benchmark
    :param line: the line of the room's table (``what`` of :meth:`Table.measure`)
    :param ours: the contestant that the claim is about
    :param peers: the contestants of the same line that it is compared with
    """

    claim: str
    line: str
    ours: str
    peers: tuple[str, ...]


@dataclass
class Row:
    """One line: what was done, by whom, in how many seconds (median), and the ratio to the line's base.

    ``spread`` is the slowest less the quickest round, None where there was but one.
    """

    what: str
    who: str
    seconds: float
    spread: float | None
    ratio: float


@dataclass
class Table:
    """The rows of one room, with its title and what a reader must know about how they were measured."""

    title: str
    remarks: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def measure(
        self, what: str, contestants: Mapping[str, Timed], *, rounds: int = 5, once: Collection[str] = ()
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
            for name in (each for each in order if not turn or each not in once):
                begin = time.perf_counter()
                inner = contestants[name]()
                times[name].append(time.perf_counter() - begin if inner is None else inner)
        medians = {name: statistics.median(taken) for name, taken in times.items()}
        base = next(iter(medians.values()))
        for name, median in medians.items():
            spread = max(times[name]) - min(times[name]) if len(times[name]) > 1 else None
            self.rows.append(Row(what, name, median, spread, median / base))
        return medians

    def markdown(self) -> str:
        """The table as a section of docs/benchmarks.md."""
        lines = [f"## {self.title}", "", *(f"{remark}\n" for remark in self.remarks)]
        lines += ["| what | who | seconds | max - min | ratio |", "|---|---|--:|--:|--:|"]
        for row in self.rows:
            spread = "once" if row.spread is None else figure(row.spread)
            figures = " | ".join((figure(row.seconds), spread, figure(row.ratio)))
            lines.append(f"| {row.what} | {row.who} | {figures} |")
        return "\n".join(lines) + "\n"
