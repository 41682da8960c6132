# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""README's table of benchmarks, made from docs/benchmarks.md: ``python -m tests.benchmark.readme``."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- benchmarks: written by make bench -->", "<!-- end of benchmarks -->"
ROW = re.compile(
    r"^\| (?P<what>[^|]+?) \| (?P<who>[^|]+?) \| (?P<seconds>[\d.]+) \| [\d.]+ \| (?P<ratio>[\d.]+) \|", re.MULTILINE
)


def short(ratio: str) -> str:
    """A ratio to two digits: 1, 0.43, 1.1, 52, 660."""
    return f"{float(f'{float(ratio):.2g}'):g}" if float(ratio) else "< 0.01"


def lines(section: str) -> list[str]:
    """A row of README for each line of a section: its contestants, the first as the base of the others' ratios."""
    contestants: dict[str, list[tuple[str, str]]] = {}
    for row in ROW.finditer(section):
        contestants.setdefault(row["what"], []).append((row["who"], row["ratio"]))
    found = []
    for what, several in contestants.items():
        told = " · ".join(f"{who} **{short(ratio)}**" for who, ratio in several)
        found.append(f"| {what} | {told} |")
    return found


def table(report: str) -> str:
    """What README shows of the report: one table, and under it where and when each part was measured."""
    rows: list[str] = []
    measured: dict[str, list[str]] = {}
    for section in re.split(r"(?m)^<!-- room: \w+ -->\n", report)[1:]:
        title = section.splitlines()[0].removeprefix("## ")
        when = re.search(r"^Measured on (.*)\.$", section, re.MULTILINE)
        rows += [f"| **{title}** | |", *lines(section)]
        measured.setdefault(when[1] if when else "an unknown machine", []).append(title.split(":")[0].lower())
    told = "; ".join(f"{', '.join(titles)}: {machine}" for machine, titles in measured.items())
    head = ["| What | Time, as a ratio to the first that is named |", "|---|---|"]
    return "\n".join(
        [BEGIN, *head, *rows, "", f"Measured on {told}. [Seconds, spread and remarks](docs/benchmarks.md).", END]
    )


def write() -> None:
    """Put the table into README, between its two marks."""
    text = README.read_text()
    before, begin, rest = text.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{README} lacks the lines\n{BEGIN}\n{END}\nbetween which the table goes")
    README.write_text(before + table(REPORT.read_text()) + after)


if __name__ == "__main__":
    write()
