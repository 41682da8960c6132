# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tagged is undone and applied again: between the two, users of the old code began sessions."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.delta import LARGEST

from tests.support.deltas import TABLE, Folder

TAGGED = f"-- @DROP-SESSIONS\n{TABLE}-- @UNDO\nDROP TABLE item;\n"


def test_an_undone_tag_is_due_again_when_its_delta_is_applied_again(deltas: Folder) -> None:
    deltas.write(_1_item=TAGGED)
    assert deltas.run()["drop_sessions"]
    assert deltas.run(state="sessions_dropped")["changed"]
    assert not deltas.run(state="undone", to=0)["drop_sessions"]
    assert deltas.run()["drop_sessions"]


def test_a_drop_that_was_due_for_an_undone_delta_is_due_no_longer(deltas: Folder) -> None:
    deltas.write(_1_item=TAGGED)
    deltas.run()
    deltas.run(state="undone", to=0)
    deltas.write(_1_item=TABLE)
    assert not deltas.run()["drop_sessions"]


def test_the_table_of_the_drops_is_made_with_the_first_of_them(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE, _2_locks="LOCK TABLES item WRITE;\nDO 2;\nUNLOCK TABLES;")
    assert not deltas.here().get("failed")
    assert deltas.rows("SHOW TABLES LIKE 'changelog%'") == [("changelog",), ("changelog_state",)]
    deltas.write(_3_tagged="-- @DROP-SESSIONS\nDO 3;")
    assert deltas.here()["drop_reasons"] == ["3_tagged.sql"]
    assert deltas.rows("SELECT tag, done_at FROM changelog_drop") == [("3_tagged.sql", None)]


MADE = "CREATE TABLE made (id INT);\n-- @UNDO\nDROP TABLE made;\n"


@pytest.mark.parametrize("done", [True, False], ids=["done", "due"])
def test_the_drop_of_a_release_that_is_left_is_forgotten_with_its_deltas(deltas: Folder, done: bool) -> None:
    deltas.write(_1_item=TAGGED)
    deltas.here()
    deltas.here(state="sessions_dropped")
    deltas.write(_2_made=MADE)
    assert deltas.here(drop_tags=["r1"])["drop_reasons"] == ["r1"]
    if done:
        deltas.here(state="sessions_dropped")
    undo: dict[str, Any] = {"state": "undone", "to": 1, "drop_tags": ["r1", "another"]}
    plan = deltas.here(**undo, check=True, diff=True)
    assert plan["diff"]["prepared"].endswith("-- forget a session drop: r1\n")
    undone = deltas.here(**undo)
    assert [undone[key] for key in ("changed", "drop_reasons")] == [True, []] == [plan["changed"], plan["drop_reasons"]]
    assert deltas.rows("SELECT tag FROM changelog_drop") == [("1_item.sql",)], "another release's stays as it is"
    assert not deltas.here(**undo)["changed"]
    assert deltas.here(drop_tags=["r1"])["drop_reasons"] == ["r1"]


def test_a_drop_that_has_no_delta_to_go_with_is_forgotten_by_itself(deltas: Folder) -> None:
    deltas.write(_1_item=TAGGED)
    deltas.here(drop_tags=["r1"])
    deltas.here(state="sessions_dropped")
    forget: dict[str, Any] = {"src": None, "deltas": [], "state": "undone", "to": LARGEST, "drop_tags": ["r1"]}
    assert deltas.here(**forget, check=True)["changed"] is True
    assert (deltas.here(**forget)["changed"], deltas.applied()) == (True, [1])
    assert deltas.rows("SELECT tag FROM changelog_drop") == [("1_item.sql",)]
    assert deltas.here(**forget)["changed"] is False
    assert deltas.here(drop_tags=["r1"])["drop_reasons"] == ["r1"]


def test_an_undo_that_is_cut_off_has_forgotten_the_drop_with_the_first_of_its_deltas(deltas: Folder) -> None:
    deltas.write(_1_item=f"{TABLE}-- @UNDO\nDROP TABLE nowhere;\n", _2_made=MADE)
    deltas.here(drop_tags=["r1"])
    assert deltas.here(state="undone", to=0, drop_tags=["r1"])["error_code"] == "dbdeploy_statement_failed"
    assert (deltas.applied(), deltas.rows("SELECT tag FROM changelog_drop")) == ([1], [])
    assert deltas.here(drop_tags=["r1"])["drop_reasons"] == ["r1"]


def test_scripts_of_an_undo_forget_it_as_a_run_does(deltas: Folder) -> None:
    back, undo = deltas.path / "back.sql", deltas.path / "undo.sql"
    deltas.write(_1_item=TAGGED)
    deltas.here(drop_tags=["r0"])
    deltas.write(_2_made=MADE)
    deltas.here(drop_tags=["r1"], undo_output_file=str(back))
    assert deltas.here(drop_tags=["r1"])["drop_reasons"] == ["1_item.sql", "r0", "r1"]
    deltas.here(state="undone", to=1, drop_tags=["r1"], output_file=str(undo))
    assert undo.read_text().count("DELETE FROM `changelog_drop`") == 1
    for script in (back, undo):
        deltas.server.client(script.read_text(), database=deltas.database)
        assert deltas.rows("SELECT tag FROM changelog_drop ORDER BY tag") == [("1_item.sql",), ("r0",)]
        assert deltas.here(drop_tags=["r1"])["drop_reasons"] == ["1_item.sql", "r0", "r1"]
