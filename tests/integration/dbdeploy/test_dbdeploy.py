# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dbdeploy against a real MariaDB: what is applied, recorded, refused, resumed."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy import lock as locks
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

from tests.support.deltas import TABLE, Folder, answer, connect, names
from tests.support.servers.base import wait_until


def test_the_plan_is_what_the_run_does_and_a_second_run_does_nothing(deltas: Folder) -> None:
    deltas.write(_002_row="INSERT INTO item VALUES (1, 'a;b');", _001_item=TABLE, README="")
    (deltas.path / "note.txt").write_text("no delta")
    plan = deltas.run(check=True, diff=True)
    assert deltas.rows("SHOW TABLES") == []
    done = deltas.run(diff=True)
    for key in ("changed", "diff", "pending", "drop_sessions", "ignored_files"):
        assert plan[key] == done[key], key
    assert names(plan["applied"]) == names(done["applied"]) == ["001_item.sql", "002_row.sql"]
    assert "INSERT INTO item VALUES (1, 'a;b');" in plan["diff"]["prepared"]
    assert done["ignored_files"] == ["README.sql", "note.txt"]
    assert deltas.rows("SELECT * FROM item") == [(1, "a;b")]
    again = deltas.here()
    assert (again["changed"], again["applied"], again["pending"]) == (False, [], [])


def test_dml_that_fails_leaves_nothing_behind(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE, _2_rows="INSERT INTO item VALUES (1,'a');\nINSERT INTO item VALUES (1,'b');")
    result = deltas.here()
    assert result["error_code"] == "dbdeploy_statement_failed"
    assert "2_rows.sql, line 2 (statement 2)" in result["msg"]
    assert (names(result["applied"]), result["database_changed"]) == (["1_item.sql"], True)
    assert deltas.rows("SELECT * FROM item") == []
    deltas.write(_2_rows="INSERT INTO item VALUES (1,'a');\nINSERT INTO item VALUES (2,'b');")
    assert deltas.here()["changed"]
    assert deltas.rows("SELECT COUNT(*) FROM item") == [(2,)]


def test_a_failed_first_delta_counts_as_nothing_done(deltas: Folder) -> None:
    deltas.write(_1_bad="CREATE TABEL x (a INT);")
    assert deltas.here()["database_changed"] is False
    deltas.write(_1_bad="CREATE TABLE x (a INT);")
    assert deltas.here()["changed"]


def test_a_mended_delta_resumes_where_it_failed(deltas: Folder) -> None:
    first = TABLE + "INSERT INTO item VALUES (1,'a');\nALTER TABLE item ADD extra INT;\n"
    deltas.write(_1_mixed=first + "ALTER TABLE item DROP COLUMN nowhere;\nINSERT INTO item (id) VALUES (2);")
    assert deltas.here()["failed_delta"]["statement"] == 4
    assert deltas.rows("SELECT id FROM item") == [(1,)]
    deltas.write(_1_mixed=first.replace("'a'", "'z'") + "ALTER TABLE item DROP COLUMN extra;")
    assert deltas.here()["error_code"] == "dbdeploy_done_part_changed"
    deltas.write(_1_mixed=first + "ALTER TABLE item DROP COLUMN extra;\nINSERT INTO item (id) VALUES (2);")
    done = deltas.here()
    assert (done["resumed"], done["applied"][0]["resumed_at"]) == ([1], 3)
    assert deltas.rows("SELECT id FROM item") == [(1,), (2,)]


@pytest.mark.parametrize(
    ("kill_in", "code"), [("DO SLEEP(600)", ""), ("ALTER TABLE item ADD later INT", "dbdeploy_unknown_outcome")]
)
def test_a_runner_that_is_killed_is_continued_or_says_what_nobody_knows(
    deltas: Folder, kill_in: str, code: str
) -> None:
    deltas.write(_1_item=TABLE, _2_cut=f"INSERT INTO item VALUES (1,'a');\nALTER TABLE item ADD extra INT;\n{kill_in};")
    holder = deltas.server.connect(deltas.database, autocommit=False)
    if code:  # an open transaction that read the table holds the second ALTER up
        assert not deltas.here(to=1).get("failed")
        deltas.write(_2_cut=f"{kill_in};")
        holder.query("SELECT * FROM item")
    process = deltas.start()
    running = (
        f"SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE '{kill_in[:12]}%%' AND DB = '{deltas.database}'"
    )
    wait_until(lambda: deltas.rows(running), "the statement")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    deltas.server.query(f"KILL {deltas.rows(running)[0][0]}")
    holder.close()
    wait_until(lambda: not deltas.rows(running), "the end of the statement")
    if code:
        result = deltas.here()
        assert (result["error_code"], result["unknown"][0]["number"]) == (code, 2)
        assert "ALTER TABLE item ADD later INT" in result["msg"]
        assert not deltas.here(on_unknown="retry").get("failed")
        assert len(deltas.rows("SHOW COLUMNS FROM item")) == 3
    else:
        deltas.write(_2_cut="INSERT INTO item VALUES (1,'a');\nALTER TABLE item ADD extra INT;\nSELECT 1;")
        assert deltas.here()["resumed"] == [2]
        assert deltas.rows("SELECT id FROM item") == [(1,)]


def test_a_tagged_delta_is_due_until_it_is_acknowledged(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE + "-- @DROP-SESSIONS\n", _2_empties="DELETE FROM item;")
    plan = deltas.here(check=True, session_table="item", drop_tags=["r1"])
    done = deltas.here(session_table="item", drop_tags=["r1"])
    assert plan["drop_reasons"] == done["drop_reasons"] == ["1_item.sql", "2_empties.sql", "r1"]
    assert deltas.here(session_table="item", drop_tags=["r1"])["drop_sessions"]
    assert deltas.here(state="sessions_dropped")["changed"]
    assert not deltas.here(state="sessions_dropped")["changed"]
    after = deltas.here(session_table="item", drop_tags=["r1"])
    assert (after["changed"], after["drop_sessions"]) == (False, False)


def test_undo_goes_back_and_is_planned_like_it_runs(deltas: Folder) -> None:
    deltas.write(
        _1_item=TABLE + "-- //@UNDO\nDROP TABLE item;",
        _2_row="INSERT INTO item VALUES (1,'a');\n--//@undo\nDELETE FROM item;",
    )
    deltas.here()
    plan = deltas.here(state="undone", to=0, check=True, diff=True)
    done = deltas.here(state="undone", to=0, diff=True)
    assert names(plan["undone"]) == names(done["undone"]) == ["2_row.sql", "1_item.sql"]
    assert plan["diff"] == done["diff"]
    assert deltas.applied() == []
    assert not deltas.here(state="undone", to=0)["changed"]
    assert len(deltas.here()["applied"]) == 2


def test_what_is_half_applied_is_not_told_as_undone(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE + "-- @UNDO\nDROP TABLE item;\n")
    added, half = "ALTER TABLE item ADD a INT;\n", [{"number": 2, "direction": "do", "unknown": False}]
    deltas.write(_2_half=f"{added}{added}-- @UNDO\nALTER TABLE item DROP a;\n")
    assert deltas.here()["error_code"] == "dbdeploy_statement_failed"
    for to, check in ((0, False), (1, False), (1, True)):
        refused = deltas.here(state="undone", to=to, check=check)
        assert (refused["error_code"], "Delta 2 " in refused["msg"]) == ("dbdeploy_half_way", True), refused
        assert refused["unfinished"] == half
    assert deltas.applied() == [1]
    told = deltas.here(state="undone", to=2, src=None, deltas=[], check=True)
    assert (told["changed"], told["unfinished"]) == (False, half), "it needs no files"
    assert not deltas.here(state="undone", to=2)["changed"]


def test_what_is_half_undone_is_told_and_finished_by_an_undo_alone(deltas: Folder) -> None:
    deltas.write(
        _1_item=TABLE + "-- @UNDO\nDROP TABLE item;\nDROP TABLE missing;\n", _2_more="DO 1;\n-- @UNDO\nDO 1;\n"
    )
    deltas.here()
    assert deltas.here(state="undone", to=0)["error_code"] == "dbdeploy_statement_failed"
    half = [{"number": 1, "direction": "undo", "unknown": False}]
    refused = deltas.here(check=True)
    assert (refused["error_code"], refused["unfinished"]) == ("dbdeploy_half_way", half)
    assert "lamp.cluster.rollback -e rollback_undo=true" in refused["msg"]
    deltas.rows("CREATE TABLE missing (n INT)")
    assert names(deltas.here(state="undone", to=0)["undone"]) == ["1_item.sql"]
    assert deltas.here(state="undone", to=0, check=True)["unfinished"] == []
    deltas.rows("INSERT INTO changelog VALUES (7, 'Main', NOW(), NULL, 'other', '')")
    foreign = deltas.here(state="undone", to=9, on_unknown="skip", check=True)["unfinished"]
    assert foreign == [{"number": 7, "direction": "do", "unknown": True}]


def test_what_cannot_be_undone_is_refused_before_anything_is(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE, _2_row="INSERT INTO item VALUES (1,'a');\n--//@UNDO\nDELETE FROM item;")
    deltas.here()
    result = deltas.here(state="undone", to=0)
    assert (result["error_code"], "1_item.sql" in result["msg"]) == ("dbdeploy_no_undo", True)
    assert deltas.rows("SELECT COUNT(*) FROM item") == [(1,)]


def test_a_baseline_records_without_running(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE, _2_later="CREATE TABLE later (a INT);")
    assert names(deltas.here(state="baselined", to=1)["baselined"]) == ["1_item.sql"]
    assert names(deltas.here()["applied"]) == ["2_later.sql"]
    assert ("item",) not in deltas.rows("SHOW TABLES")


@pytest.mark.parametrize(
    ("files", "options", "code", "named"),
    [
        ({"_1_a": "SELECT 1;", "_01_b": "SELECT 1;"}, {}, "dbdeploy_duplicate", "01_b.sql"),
        ({"_99999999999999999999_a": "SELECT 1;"}, {}, "dbdeploy_number_too_large", "99999999999999999999"),
        ({"_1_a": "USE mysql;"}, {}, "dbdeploy_refused", "1_a.sql, line 1"),
        ({"_1_a": "SELECT 1;\nSET SESSION autocommit = 1;"}, {}, "dbdeploy_refused", "1_a.sql, line 2"),
        ({"_1_a": "source x.sql"}, {}, "dbdeploy_client_command", "line 1"),
        ({}, {"src": "/nonexistent"}, "dbdeploy_no_folder", "/nonexistent"),
        ({"_1_a": "SELECT 1;"}, {"login_password": "wrong"}, "mysql_access_denied", "127.0.0.1"),
    ],
)  # fmt: skip
def test_bad_input_is_named_before_anything_runs(
    deltas: Folder, files: dict[str, str], options: dict[str, Any], code: str, named: str
) -> None:
    deltas.write(**files)
    result = deltas.here(**options)
    assert result["error_code"] == code
    assert named in result["msg"]
    assert deltas.rows("SHOW TABLES") == []


def test_an_edited_delta_is_named_and_can_be_accepted(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE)
    deltas.here()
    deltas.write(_1_item="-- a comment does not count\r\n" + TABLE)
    assert not deltas.here().get("failed")
    deltas.write(_1_item=TABLE + "SELECT 1;")
    assert "1_item.sql" in deltas.here()["msg"]
    assert not deltas.here(accept_changed=True).get("failed")
    assert not deltas.here()["changed"]


def test_numbers_out_of_order_follow_the_policy(deltas: Folder) -> None:
    deltas.write(_2_b="CREATE TABLE b (a INT);")
    deltas.here()
    deltas.write(_1_a="CREATE TABLE a (a INT);")
    assert deltas.here(out_of_order="fail")["error_code"] == "dbdeploy_out_of_order"
    assert not deltas.here(out_of_order="skip")["changed"]
    assert names(deltas.here()["applied"]) == ["1_a.sql"]


LAYOUTS = {
    "dbdeploy 2": "change_number BIGINT NOT NULL, delta_set VARCHAR(10) NOT NULL, start_dt TIMESTAMP NOT NULL,"
    " complete_dt TIMESTAMP NULL, applied_by VARCHAR(100) NOT NULL, description VARCHAR(500) NOT NULL,"
    " PRIMARY KEY (change_number, delta_set)",
    "dbdeploy 3": "change_number BIGINT NOT NULL PRIMARY KEY, complete_dt TIMESTAMP NOT NULL,"
    " applied_by VARCHAR(100) NOT NULL, description VARCHAR(500) NOT NULL",
    "fork": "change_number VARCHAR(20) NOT NULL PRIMARY KEY, complete_dt DATETIME(3) NOT NULL,"
    " applied_by VARCHAR(100) NOT NULL, description VARCHAR(500) NOT NULL, checksum VARCHAR(64)",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tables_of_other_tools_are_taken_over_with_their_dates(deltas: Folder, layout: str) -> None:
    deltas.rows(f"CREATE TABLE changelog ({LAYOUTS[layout]})")
    deltas.rows("INSERT INTO changelog SET change_number=1, complete_dt='2020-02-02 02:02:02',"
                " applied_by='x', description='1_item.sql'"
                + (", delta_set='Main', start_dt='2020-02-02 02:02:01'" if layout == "dbdeploy 2" else ""))  # fmt: skip
    deltas.write(_1_item=TABLE, _2_new="CREATE TABLE newer (a INT);")
    assert names(deltas.here()["applied"]) == ["2_new.sql"]
    assert deltas.rows("SELECT CAST(complete_dt AS CHAR(19)) FROM changelog WHERE change_number = 1") == [
        ("2020-02-02 02:02:02",)
    ]
    assert not deltas.here()["changed"]


def test_one_runner_at_a_time_and_the_other_is_named(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE)
    holder = deltas.server.connect(deltas.database)
    with holder.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(%s, 0)", (f"lamp.dbdeploy.{deltas.database}.changelog",))
    result = deltas.here(lock_timeout=0)
    assert (result["error_code"], "root@127.0.0.1" in result["msg"]) == ("dbdeploy_locked", True)
    holder.close()
    assert deltas.here()["changed"]


def test_a_runner_that_waited_does_not_repeat_what_the_other_one_did(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE)
    deltas.here()
    deltas.write(_2_row="INSERT INTO item VALUES (1, 'a');\nDO SLEEP(1);\nINSERT INTO item VALUES (2, 'b');")
    runners = [deltas.start() for _ in range(2)]
    results = [answer(runner) for runner in runners]
    assert sorted(len(result["applied"]) for result in results) == [0, 1]
    assert deltas.rows("SELECT id FROM item") == [(1,), (2,)]


def test_of_a_holder_on_another_node_that_may_be_dead_the_ways_on_are_told(
    deltas: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(locks.NODE, "group_replication", "SHOW VARIABLES LIKE 'hostname'")
    monkeypatch.setattr(locks, "SILENCE", 0.2)
    deltas.write(_1_item=TABLE)
    deltas.here()
    deltas.rows(locks.ROW.format(table="changelog_lock"))
    deltas.rows("INSERT INTO changelog_lock VALUES (1, 'token', 'somebody', 'elsewhere', 0, UTC_TIMESTAMP())")
    deltas.rows("UPDATE changelog_state SET running = 1")
    working = connect(deltas.server, deltas.database)
    lock = locks.RowLock(
        working, partial(connect, deltas.server, deltas.database, autocommit=True), "changelog", "group_replication"
    )
    with pytest.raises(LampError, match=r"somebody.*no sign of life.*on_unknown") as held:
        lock.take(0.5)
    assert held.value.code == "dbdeploy_locked"
    deltas.rows("UPDATE changelog_state SET running = NULL")
    lock.take(5)
    lock.free()
    working.close()


def test_a_file_of_another_encoding_keeps_its_letters(deltas: Folder) -> None:
    text = TABLE + "INSERT INTO item VALUES (1, 'Müller');"
    (deltas.path / "1_item.sql").write_bytes(f"SET NAMES latin1;\n{text}".encode("latin-1"))
    refused = deltas.here(encoding="latin-1")
    assert refused["error_code"] == "dbdeploy_refused"
    assert "1_item.sql, line 1: SET NAMES latin1" in refused["msg"]
    (deltas.path / "1_item.sql").write_bytes(f"SET NAMES utf8mb4;\n{text}".encode("latin-1"))
    assert not deltas.here(encoding="latin-1").get("failed")
    assert deltas.rows("SELECT name FROM item") == [("Müller",)]


def test_a_long_name_drops_once(deltas: Folder) -> None:
    name = "_1_" + "long" * 60
    deltas.write(**{name: TABLE + "-- @DROP-SESSIONS\n"})
    assert deltas.here(drop_tags=["r" * 300])["drop_sessions"]
    deltas.here(state="sessions_dropped")
    assert not deltas.here(drop_tags=["r" * 300])["drop_sessions"]


@pytest.mark.parametrize(
    "text",
    [
        "CREATE USER IF NO EXISTS keeper IDENTIFIED BY 's3cret'",
        "ALTER USER nobody@nowhere IDENTIFIED BY 's3cret'",
        "SET PASSWORD FOR nobody@nowhere = PASSWORD('s3cret')",
        "INSERT INTO nowhere (name, password) VALUES ('me', 's3cret')",
    ],
)
def test_a_password_in_a_statement_that_fails_is_not_shown(deltas: Folder, text: str) -> None:
    deltas.write(_1_first=f"CREATE TABLE a (n INT);\n{text};")
    result = deltas.here()
    assert (result["error_code"], "'***'" in result["msg"]) == ("dbdeploy_statement_failed", True), result
    assert "s3cret" not in f"{result} {deltas.rows('SELECT * FROM changelog_state')}"


def test_the_password_is_never_shown(deltas: Folder) -> None:
    deltas.write(_1_bad="CREATE TABEL x;")
    assert deltas.server.password not in deltas.run().output
