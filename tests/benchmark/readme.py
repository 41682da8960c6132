# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""README's table of benchmarks: the headlines of each room, with the figures of docs/benchmarks.md.

``python -m tests.benchmark.readme`` writes it anew without measuring.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.benchmark import report
from tests.benchmark.table import Headline, figure
from tests.support.modules import COLLECTIONS

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- benchmarks: written by make bench -->", "<!-- end of benchmarks -->"
HEAD = ("| What | Seconds | The time of others, as a multiple of it |", "|---|--:|---|")
ROW = re.compile(r"^\| ([^|]+?) \| ([^|]+?) \| ([\d.]+) \|", re.MULTILINE)
MEASURED = re.compile(r"^Measured on (.*), (\d{4}-\d\d-\d\d)\.$", re.MULTILINE)


def row(headline: Headline, section: str) -> str:
    """A row of README.

    :raises LookupError: when the section lacks one of its figures
    """
    times = {who: float(seconds) for what, who, seconds in ROW.findall(section) if what == headline.line}
    if missing := [who for who in (headline.ours, *headline.peers) if who not in times]:
        raise LookupError(f"docs/benchmarks.md: the line {headline.line!r} has no {', '.join(missing)}")
    ours = times[headline.ours]
    peers = " · ".join(f"{peer} **{figure(times[peer] / ours, 2)}**" for peer in headline.peers)
    return f"| {headline.claim} | {figure(ours, 2)} | {peers} |"


def measured(sections: dict[str, str]) -> str:
    """Where and when it was measured, in a sentence; one machine after the other."""
    days: dict[str, set[str]] = {}
    for section in sections.values():
        for machine, day in MEASURED.findall(section):
            days.setdefault(machine, set()).add(day)
    told = "; ".join(f"{machine}, {' and '.join(sorted(several))}" for machine, several in days.items())
    return f"Measured on {told}. [All figures, their spread, and how they were measured](docs/benchmarks.md)."


def table() -> str:
    """What README shows of the report as it stands."""
    sections = report.sections()
    rows = [row(headline, text) for room, text in sections.items() for headline in report.module(room).HEADLINES]
    return "\n".join([BEGIN, *HEAD, *rows, "", measured(sections), END])


def write() -> None:
    """Put the table into README, between its two marks."""
    before, begin, rest = README.read_text().partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{README} lacks the lines\n{BEGIN}\n{END}\nbetween which the table goes")
    README.write_text(before + table() + after)


if __name__ == "__main__":
    sys.path.insert(0, str(COLLECTIONS))
    write()
