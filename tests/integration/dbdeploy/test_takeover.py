# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changelog tables of other tools: taken over with their dates, and left so that those tools can go on.

Phing is run. Of dbdeploy 2, dbdeploy 3 and its fork with checksums, which need Java, the statements are replayed that
their sources send.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.support.deltas import TABLE, Folder, names
from tests.support.phing import TABLE as PHING_TABLE
from tests.support.phing import phing
from tests.support.servers.mariadb import MariaDB

OLD = "2020-02-02 02:02:02"
DATES = "SELECT change_number, CAST({} AS CHAR(19)) FROM changelog WHERE change_number + 0 = 1"
NEXT = "CREATE TABLE newer (id INT PRIMARY KEY);\n"


@pytest.fixture()
def deltas(tmp_path: Path, mariadb: MariaDB, database: str) -> Folder:
    folder = tmp_path / "deltas"
    folder.mkdir()
    return Folder(folder, mariadb, database)


class Tool:
    """A tool as its source has it: the table that its users create, and what it sends."""

    table = ""
    dates: tuple[str, ...] = ("complete_dt",)
    text_numbers = False

    def begun(self, deltas: Folder) -> None:
        """The table, with delta 1 applied long ago."""
        deltas.rows(self.table)
        self.record(deltas, 1, "1_item.sql", f"'{OLD}'")

    def record(self, deltas: Folder, number: int, name: str, moment: str) -> None:
        """Write the row of a delta that was applied at ``moment``."""
        raise NotImplementedError

    def pending(self, deltas: Folder) -> list[int]:
        """The numbers that the tool would apply now."""
        applied = {int(row[0]) for row in deltas.rows("SELECT * FROM changelog ORDER BY change_number")}
        return sorted({int(path.name.split("_")[0]) for path in deltas.path.iterdir()} - applied)


class Dbdeploy2(Tool):
    table = PHING_TABLE
    dates = ("start_dt", "complete_dt")

    def record(self, deltas: Folder, number: int, name: str, moment: str) -> None:
        deltas.rows(
            "INSERT INTO changelog (change_number, delta_set, start_dt, applied_by, description)"
            f" VALUES ({number}, 'Main', {moment}, USER(), '{name}')"
        )
        deltas.rows(
            f"UPDATE changelog SET complete_dt = {moment}, start_dt = {moment}"
            f" WHERE change_number = {number} AND delta_set = 'Main'"
        )

    def pending(self, deltas: Folder) -> list[int]:
        applied = deltas.rows("SELECT change_number FROM changelog WHERE delta_set = 'Main' ORDER BY change_number")
        return sorted({int(path.name.split("_")[0]) for path in deltas.path.iterdir()} - {row[0] for row in applied})


class Dbdeploy3(Tool):
    table = (
        "CREATE TABLE changelog (change_number BIGINT NOT NULL PRIMARY KEY, complete_dt TIMESTAMP NOT NULL,"
        " applied_by VARCHAR(100) NOT NULL, description VARCHAR(500) NOT NULL)"
    )

    def record(self, deltas: Folder, number: int, name: str, moment: str) -> None:
        deltas.rows(
            "INSERT INTO changelog (change_number, complete_dt, applied_by, description)"
            f" VALUES ({number}, {moment}, 'deploy', '{name}')"
        )


class TextNumbers(Dbdeploy3):
    """As people made it for numbers that are dates and times."""

    table = (
        "CREATE TABLE changelog (change_number VARCHAR(20) NOT NULL PRIMARY KEY, complete_dt DATETIME(3) NOT NULL,"
        " applied_by VARCHAR(100) NOT NULL, description VARCHAR(500) NOT NULL)"
    )

    def begun(self, deltas: Folder) -> None:
        deltas.rows(self.table)
        deltas.rows(f"INSERT INTO changelog VALUES ('001', '{OLD}', 'deploy', '1_item.sql')")


class Fork(Tool):
    """It refuses to run at all when a checksum in the fifth column is not the one of the file."""

    table = (
        "CREATE TABLE changelog (change_number BIGINT NOT NULL PRIMARY KEY, complete_dt TIMESTAMP NOT NULL,"
        " applied_by VARCHAR(100) NOT NULL, description VARCHAR(500) NOT NULL, checksum VARCHAR(100) NOT NULL)"
    )

    @staticmethod
    def checksum(deltas: Folder, name: str) -> str:
        text = (deltas.path / name).read_text()
        lines = (line + "\n" for line in text.splitlines() if line.strip() != "--//@UNDO")
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def record(self, deltas: Folder, number: int, name: str, moment: str) -> None:
        deltas.rows(
            "INSERT INTO changelog (change_number, complete_dt, applied_by, description, checksum)"
            f" VALUES ({number}, {moment}, 'deploy', '{name}', '{self.checksum(deltas, name)}')"
        )

    def pending(self, deltas: Folder) -> list[int]:
        for _number, _moment, _who, name, checksum in deltas.rows("SELECT * FROM changelog ORDER BY change_number"):
            assert checksum == self.checksum(deltas, name), name
        return super().pending(deltas)


TOOLS = {"dbdeploy 2": Dbdeploy2(), "dbdeploy 3": Dbdeploy3(), "fork": Fork(), "text numbers": TextNumbers()}


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_a_table_is_taken_over_and_its_tool_goes_on(deltas: Folder, tool: Tool) -> None:
    deltas.write(
        _1_item=TABLE + "--//@UNDO\nDROP TABLE item;\n",
        _2_new="-- a word on it\r\n" + NEXT + "\n--//@UNDO\nDROP TABLE newer;",
        _3_row="INSERT INTO newer VALUES (1);\n",
    )
    tool.begun(deltas)
    dates = [deltas.rows(DATES.format(date)) for date in tool.dates]
    deltas.rows(TABLE)
    assert names(deltas.run(to=2)["applied"]) == ["2_new.sql"]
    assert tool.pending(deltas) == [3]
    tool.record(deltas, 3, "3_row.sql", "CURRENT_TIMESTAMP")
    assert not deltas.run()["changed"]
    assert names(deltas.run(state="undone", to=2, check=True).get("undone", [])) == []  # it has no undo part
    deltas.write(_3_row="INSERT INTO newer VALUES (1);\n--//@UNDO\nDELETE FROM newer;\n")
    assert names(deltas.run(state="undone", to=1)["undone"]) == ["3_row.sql", "2_new.sql"]
    assert [deltas.rows(DATES.format(date)) for date in tool.dates] == dates
    assert dates[0][0][1] == OLD
    assert names(deltas.run(state="undone", to=0)["undone"]) == ["1_item.sql"]
    assert deltas.rows("SELECT * FROM changelog") == []


@pytest.mark.parametrize("tool", [TOOLS["dbdeploy 2"], TOOLS["dbdeploy 3"]], ids=["dbdeploy 2", "dbdeploy 3"])
def test_a_tool_can_write_to_the_table_that_is_made_here(deltas: Folder, tool: Tool) -> None:
    deltas.write(_1_item=TABLE, _2_new=NEXT)
    deltas.run(to=1)
    assert tool.pending(deltas) == [2]
    deltas.rows(NEXT)
    tool.record(deltas, 2, "2_new.sql", "CURRENT_TIMESTAMP")
    assert not deltas.run()["changed"]


@pytest.mark.parametrize("strict", ["STRICT_TRANS_TABLES", ""])
def test_a_delta_set_whose_name_the_table_would_cut_off_is_refused_before_anything_runs(
    deltas: Folder, strict: str
) -> None:
    TOOLS["dbdeploy 2"].begun(deltas)
    deltas.write(_1_mode=f"SET sql_mode = '{strict}';\n{TABLE}")
    result = deltas.here(delta_set="session_store")
    assert (result["error_code"], result["database_changed"]) == ("dbdeploy_no_delta_set", False), result
    deltas.rows("ALTER TABLE changelog MODIFY delta_set VARCHAR(64) NOT NULL")
    assert [deltas.here(delta_set="session_store")["changed"] for _ in range(2)] == [True, False]


def test_a_row_that_a_tool_began_keeps_its_beginning(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE)
    deltas.rows(PHING_TABLE)
    deltas.rows(f"INSERT INTO changelog VALUES (1, 'Main', '{OLD}', NULL, 'phing', '1_item.sql')")
    assert deltas.run()["error_code"] == "dbdeploy_incomplete"
    assert deltas.run(on_unknown="retry")["changed"]
    rows = deltas.rows("SELECT CAST(start_dt AS CHAR(19)), complete_dt IS NOT NULL, applied_by FROM changelog")
    assert rows == [(OLD, 1, "phing")]


def test_a_drop_is_marked_as_done_whatever_a_tool_left_half_way(deltas: Folder) -> None:
    deltas.rows(PHING_TABLE)
    deltas.rows(f"INSERT INTO changelog VALUES (1, 'Main', '{OLD}', NULL, 'phing', '1_old.sql')")
    deltas.write(_2_new=NEXT + "-- @DROP-SESSIONS\n")
    assert deltas.here(on_unknown="skip")["drop_sessions"]
    assert deltas.here(state="sessions_dropped")["changed"]
    assert not deltas.here(state="sessions_dropped")["changed"]
    assert deltas.here()["error_code"] == "dbdeploy_incomplete"


@pytest.mark.parametrize("cut", ["failed", "unknown"])
def test_a_delta_that_was_completed_elsewhere_is_undone_as_a_whole(deltas: Folder, cut: str) -> None:
    undo = "-- @UNDO\nDELETE FROM item WHERE id = 1;\n{}DROP TABLE item;"
    deltas.write(_1_item=TABLE + f"ALTER TABLE item ADD id INT;\n{undo.format('')}")
    assert deltas.here()["failed_delta"]["statement"] == 2
    if cut == "unknown":
        deltas.rows("UPDATE changelog_state SET running = 2")
    deltas.rows("INSERT INTO changelog VALUES (1, 'Main', NOW(), NOW(), 'somebody', '1_item.sql')")
    assert deltas.here()["unfinished"] == []
    assert deltas.here(state="undone", to=0, check=True)["unfinished"] == []
    deltas.rows("INSERT INTO item VALUES (1, 'a')")
    deltas.write(_1_item=TABLE + undo.format("INSERT INTO nowhere VALUES (1);\n"))
    assert deltas.here(state="undone", to=0)["failed_delta"]["statement"] == 2
    assert deltas.rows("SELECT id FROM item") == [(1,)]
    deltas.write(_1_item=TABLE + undo.format(""))
    undone = deltas.here(state="undone", to=0)
    assert [each["resumed_at"] for each in undone["undone"]] == [0], undone
    assert deltas.applied() == deltas.rows("SELECT * FROM changelog_state") == []


@pytest.mark.parametrize("made_by", ["phing", "dbdeploy"])
def test_phing_runs_before_and_after(deltas: Folder, tmp_path: Path, made_by: str) -> None:
    def by_phing(options: str = "") -> str:
        return phing(deltas.server, deltas.database, deltas.path, tmp_path, options)

    deltas.write(_1_item=TABLE + "-- //@UNDO\nDROP TABLE item;\n", _2_row="INSERT INTO item VALUES (1, 'a');\n")
    if made_by == "phing":
        deltas.rows(PHING_TABLE)
        assert "INSERT INTO item" in by_phing()
    else:
        assert deltas.run()["changed"]
    before: Any = deltas.rows("SELECT change_number, start_dt, complete_dt, applied_by FROM changelog")
    deltas.write(_3_more="ALTER TABLE item ADD extra INT;\n", _5_late="INSERT INTO item (id) VALUES (5);\n")
    assert names(deltas.run()["applied"]) == ["3_more.sql", "5_late.sql"]
    deltas.write(_4_gap="INSERT INTO item (id) VALUES (4);\n", _6_last="INSERT INTO item (id) VALUES (6);\n")
    script = by_phing('checkall="true"')
    assert ("(4)" in script, "(6)" in script, "(5)" in script, "CREATE TABLE item" in script) == (
        True,
        True,
        False,
        False,
    )
    assert deltas.rows("SELECT id FROM item ORDER BY id") == [(1,), (4,), (5,), (6,)]
    assert not deltas.run()["changed"]
    assert by_phing() == ""
    after = deltas.rows(
        "SELECT change_number, start_dt, complete_dt, applied_by FROM changelog WHERE change_number < 3"
    )
    assert after == before
