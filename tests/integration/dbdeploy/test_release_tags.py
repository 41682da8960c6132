# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tag of the release itself is recorded with the first of its deltas that completes, and not before.

Where other code was live meanwhile, what was done is recorded anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.deltas import TABLE, Folder

ROW = "INSERT INTO item VALUES (1, 'a');\n"
MADE = "CREATE TABLE made (id INT);\n"
FAILS = "ALTER TABLE nowhere ADD x INT;\n"


def due(deltas: Folder) -> list[str]:
    """What the status shows, which knows of no release."""
    return list(deltas.here(check=True)["drop_reasons"])


@pytest.mark.parametrize("second", [FAILS, ROW + ROW], ids=["DDL", "rows"])
def test_a_release_whose_second_delta_fails_owes_its_drop_whatever_the_mended_one_says(
    deltas: Folder, second: str
) -> None:
    deltas.write(_1_item=TABLE, _2_fails=second)
    assert deltas.here(drop_tags=["r1"])["error_code"] == "dbdeploy_statement_failed"
    assert (deltas.applied(), due(deltas)) == ([1], ["r1"])
    deltas.write(_2_fails=ROW)
    assert deltas.here()["drop_reasons"] == ["r1"]


def test_deltas_that_share_a_transaction_record_it_when_the_last_of_them_fails(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE)
    deltas.here()
    deltas.write(_2_row=ROW, _3_again="UPDATE item SET name = 'b';\n", _4_fails=ROW)
    assert deltas.here(drop_tags=["r1"])["error_code"] == "dbdeploy_statement_failed"
    assert (deltas.applied(), due(deltas)) == ([1, 2, 3], ["r1"])


def test_a_run_that_is_killed_in_its_second_delta_leaves_the_drop_due(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE, _2_long="SELECT SLEEP(30);\n")
    with deltas.victim(drop_tags=["r1"]) as run:
        connection = run.waits_at("SELECT SLEEP")
        run.kill()
    deltas.server.query(f"KILL {connection}")
    assert (deltas.applied(), due(deltas)) == ([1], ["r1"])


@pytest.mark.parametrize("first", [FAILS, MADE + FAILS, ROW], ids=["DDL", "half", "rows"])
def test_a_first_delta_that_fails_leaves_no_drop_due(deltas: Folder, first: str) -> None:
    deltas.write(_1_fails=first, _2_item=TABLE)
    assert deltas.here(drop_tags=["r1"])["error_code"] == "dbdeploy_statement_failed"
    assert (deltas.applied(), due(deltas)) == ([], [])
    deltas.write(_1_fails=first.replace(FAILS, "SELECT 1;\n").replace(ROW, "SELECT 1;\n"))
    assert deltas.here(drop_tags=["r2"])["drop_reasons"] == ["r2"]


def test_a_delta_that_another_tool_began_records_it_too(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE)
    deltas.here()
    deltas.rows("UPDATE changelog SET complete_dt = NULL")
    deltas.rows("DELETE FROM changelog_state")
    deltas.write(_2_fails=FAILS)
    assert deltas.here(on_unknown="skip", drop_tags=["r1"])["error_code"] == "dbdeploy_statement_failed"
    assert (deltas.applied(), due(deltas)) == ([1], ["r1"])


TAGGED = "-- @DROP-SESSIONS\nDO 2;\n"


@pytest.fixture
def dropped(deltas: Folder) -> Folder:
    """The drops of the release r1 and of its second delta are done."""
    deltas.write(_1_item=TABLE, _2_tagged=TAGGED)
    assert deltas.here(drop_tags=["r1"])["drop_reasons"] == ["2_tagged.sql", "r1"]
    assert deltas.here(state="sessions_dropped")["changed"]
    return deltas


@pytest.mark.parametrize(
    ("tags", "replaced", "again"),
    [
        (["r1"], [], []),
        (["r1"], [[1, 2]], ["r1"]),
        ([], [[1, 2]], []),
        ([], [[1]], ["2_tagged.sql"]),
        (["r1"], [[]], ["2_tagged.sql", "r1"]),
        (["r1"], [[1, 2], [1]], ["2_tagged.sql", "r1"]),
    ],
)
def test_a_drop_that_was_done_is_due_again_where_code_is_replaced_that_lacks_what_is_tagged(
    dropped: Folder, tags: list[str], replaced: list[list[int]], again: list[str]
) -> None:
    given: dict[str, Any] = {"drop_tags": tags, "replaced": [{"deltas": numbers} for numbers in replaced]}
    plan = dropped.here(**given, check=True, diff=True)
    assert plan.get("diff", {}).get("prepared", "") == "".join(f"-- record a session drop: {tag}\n" for tag in again)
    done = dropped.here(**given)
    for result in (plan, done):
        assert (result["drop_reasons"], result["changed"], result["applied"]) == (again, bool(again), [])
    assert due(dropped) == again
    assert dropped.here(state="sessions_dropped")["changed"] is bool(again)
    assert dropped.here(drop_tags=tags)["drop_reasons"] == []


def test_it_is_due_again_with_the_first_delta_that_completes(dropped: Folder) -> None:
    dropped.write(_3_fails=ROW + FAILS)
    assert dropped.here(drop_tags=["r1"], replaced=[{"deltas": []}])["error_code"] == "dbdeploy_statement_failed"
    assert due(dropped) == []
    dropped.write(_3_fails=ROW, _4_fails=FAILS)
    assert dropped.here(drop_tags=["r1"], replaced=[{"deltas": []}])["error_code"] == "dbdeploy_statement_failed"
    assert (dropped.applied(), due(dropped)) == ([1, 2, 3], ["2_tagged.sql", "r1"])


def test_what_is_not_tagged_any_more_or_was_baselined_is_not_due_again(dropped: Folder) -> None:
    dropped.write(_2_tagged="DO 2;\n", _3_baselined=TAGGED)
    dropped.here(state="baselined", to=3)
    assert dropped.here(replaced=[{"deltas": []}], accept_changed=True)["drop_reasons"] == []


def test_a_script_records_it_anew_as_a_run_does(dropped: Folder, tmp_path: Path) -> None:
    script = tmp_path / "do.sql"
    dropped.here(drop_tags=["r1"], replaced=[{"deltas": []}], output_file=str(script))
    dropped.server.client(script.read_text(), database=dropped.database)
    assert due(dropped) == ["2_tagged.sql", "r1"]
