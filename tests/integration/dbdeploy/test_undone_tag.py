# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tagged delta that is undone and applied again: between the two, users of the old code began sessions."""

from __future__ import annotations

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
