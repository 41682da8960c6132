# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a delta kept in its session, when it goes on in another one: said again, asked about, never guessed at."""

from __future__ import annotations

import pytest

from tests.support.deltas import Folder

FAILS = "ALTER TABLE item DROP COLUMN nowhere;\n"


@pytest.mark.parametrize(
    ("first", "column", "value"),
    [
        ("SET STATEMENT max_statement_time = 9 FOR UPDATE item SET n = n + 1;\n", "n", 1),
        ("SET STATEMENT max_statement_time = 9 FOR ALTER TABLE item ADD extra INT DEFAULT 3;\n", "extra", 3),
    ],
)
def test_what_runs_under_settings_of_its_own_is_not_run_again(
    deltas: Folder, first: str, column: str, value: int
) -> None:
    deltas.rows("CREATE TABLE item (id INT PRIMARY KEY, n INT)")
    deltas.rows("INSERT INTO item VALUES (1, 0)")
    deltas.write(_1_more=f"{first}{FAILS}")
    assert deltas.here()["failed_delta"]["statement"] == 2
    deltas.write(_1_more=f"{first}DO 1;\n")
    resumed = deltas.here()
    assert not resumed.get("failed"), resumed
    assert resumed["applied"][0]["resumed_at"] == 1
    assert deltas.rows(f"SELECT {column} FROM item") == [(value,)]
