# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""README's table of benchmarks."""

from __future__ import annotations

import pytest

from tests.benchmark import readme
from tests.benchmark.table import Headline, Table, figure

HEADLINE = Headline("It is quick", "a line", "ours", ("theirs", "the floor"))


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [(0.0000331, 3, "0.0000331"), (0.996, 2, "1.0"), (664.47, 2, "660"), (12.34, 3, "12.3"), (0, 3, "0.00")],
)
def test_a_figure_has_its_digits_however_small_it_is(value: float, digits: int, written: str) -> None:
    assert figure(value, digits) == written


def test_a_headline_has_the_figures_of_its_line() -> None:
    table = Table("Title")
    table.measure("a line", {"the floor": lambda: 0.0004, "ours": lambda: 0.0008, "theirs": lambda: 0.012}, rounds=1)
    table.measure("another", {"ours": lambda: 7.0}, rounds=1)
    assert readme.row(HEADLINE, table.markdown()) == "| It is quick | 0.00080 | theirs **15** · the floor **0.50** |"


def test_a_headline_without_figures_is_named() -> None:
    with pytest.raises(LookupError, match=r"'a line' has no ours, theirs, the floor"):
        readme.row(HEADLINE, Table("Title").markdown())


def test_readme_shows_the_figures_of_the_report() -> None:
    assert readme.table() in readme.README.read_text()
