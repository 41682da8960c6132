# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dbdeploy is made for, on Oracle's MySQL 9 and on a Group Replication of three."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.lock import RowLock

from tests.support.deltas import TABLE, Folder, answer, connect, names, races
from tests.support.servers.base import wait_until
from tests.support.servers.mysql import Group, MySQL

RACES = 50


@pytest.fixture(params=["mysql", "mysql_group"])
def server(request: pytest.FixtureRequest) -> MySQL:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, (MySQL, Group))
    return found.primary if isinstance(found, Group) else found


@contextlib.contextmanager
def folder(path: Path, server: MySQL) -> Iterator[Folder]:
    name = f"test_{secrets.token_hex(4)}"
    server.query(f"CREATE DATABASE `{name}`")
    yield Folder(path, server, name)
    server.query(f"DROP DATABASE `{name}`")


@pytest.fixture()
def deltas(tmp_path: Path, server: MySQL) -> Iterator[Folder]:
    with folder(tmp_path, server) as made:
        yield made


@pytest.fixture()
def on_primary(tmp_path: Path, mysql_group: Group) -> Iterator[Folder]:
    with folder(tmp_path, mysql_group.primary) as made:
        yield made


def test_the_plan_is_what_the_run_does_and_a_second_run_does_nothing(deltas: Folder) -> None:
    deltas.write(
        _1_item=TABLE,
        _2_rows="INSERT INTO item VALUES (1, 'a;b');\n-- @DROP-SESSIONS\n",
        _3_total="CREATE PROCEDURE total() BEGIN IF 1 THEN SELECT COUNT(*) FROM item; END IF; END;\nCALL total();",
    )
    plan = deltas.run(check=True, diff=True)
    assert deltas.rows("SHOW TABLES") == []
    done = deltas.run(diff=True)
    for key in ("changed", "diff", "pending", "drop_sessions", "drop_reasons"):
        assert plan[key] == done[key], key
    assert names(plan["applied"]) == names(done["applied"]) == ["1_item.sql", "2_rows.sql", "3_total.sql"]
    assert deltas.rows("SELECT * FROM item") == [(1, "a;b")]
    assert not deltas.run()["changed"]
    assert deltas.run(state="sessions_dropped")["changed"]


def test_a_delta_that_failed_resumes_and_is_undone(deltas: Folder) -> None:
    first = TABLE + "ALTER TABLE item ADD extra INT;\n"
    undo = "\n-- //@UNDO\nDROP TABLE item;"
    deltas.write(_1_mixed=first + "ALTER TABLE item DROP COLUMN nowhere;" + undo)
    assert deltas.run()["failed_delta"]["statement"] == 3
    deltas.write(_1_mixed=first + "INSERT INTO item (id) VALUES (2);" + undo)
    done = deltas.run()
    assert (done["resumed"], done["applied"][0]["resumed_at"]) == ([1], 2)
    assert deltas.rows("SELECT id FROM item") == [(2,)]
    plan = deltas.run(state="undone", to=0, check=True, diff=True)
    assert plan["diff"] == deltas.run(state="undone", to=0, diff=True)["diff"]
    assert deltas.applied() == []
    assert ("item",) not in deltas.rows("SHOW TABLES")


def test_dml_that_fails_leaves_nothing_behind(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE, _2_rows="INSERT INTO item VALUES (1,'a');\nINSERT INTO item VALUES (1,'b');")
    assert deltas.run()["error_code"] == "dbdeploy_statement_failed"
    assert (deltas.applied(), deltas.rows("SELECT * FROM item")) == ([1], [])


def test_one_runner_at_a_time_and_the_other_is_named(deltas: Folder) -> None:
    gate = deltas.server.connect()
    gate.query(f"DO GET_LOCK('{deltas.database}', 0)")
    deltas.write(_1_item=TABLE, _2_gate=f"DO GET_LOCK('{deltas.database}', 600);\nINSERT INTO item VALUES (1, 'a');")
    process = deltas.start()
    waits = (
        f"SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'DO GET_LOCK%%' AND DB = '{deltas.database}'"
    )
    wait_until(lambda: deltas.rows(waits), "the statement")
    refused = deltas.run(lock_timeout=0)
    assert refused["error_code"] == "dbdeploy_locked"
    assert refused["lock_holder"].startswith("root@")
    assert f"connection {deltas.rows(waits)[0][0]}" in refused["lock_holder"]
    other = deltas.start(lock_timeout=60)
    gate.close()
    results = [answer(process), answer(other)]
    assert [len(result["applied"]) for result in results] == [2, 0]
    assert deltas.rows("SELECT id FROM item") == [(1,)]


def test_a_killed_runner_is_followed_when_its_connection_has_ended(deltas: Folder) -> None:
    gate = deltas.server.connect()
    gate.query(f"DO GET_LOCK('{deltas.database}', 0)")
    deltas.write(_1_item=TABLE + f"DO GET_LOCK('{deltas.database}', 600);")
    process = deltas.start()
    waits = (
        f"SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'DO GET_LOCK%%' AND DB = '{deltas.database}'"
    )
    wait_until(lambda: deltas.rows(waits), "the statement")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    gate.close()
    assert deltas.run(lock_timeout=60)["resumed"] == [1]
    assert deltas.applied() == [1]


def test_who_holds_a_table_up_is_named(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE, _2_row="INSERT INTO item VALUES (1, 'a');")
    deltas.run()
    holder = deltas.server.connect(deltas.database, autocommit=False)
    holder.query("UPDATE item SET name = 'b'")
    deltas.write(_3_row="UPDATE item SET name = 'c';")
    refused = deltas.run(lock_wait_timeout=1)
    number = holder.thread_id()
    holder.close()
    assert (refused["failed_delta"]["error"], f"(connection {number}," in refused["msg"]) == (1205, True)


def test_a_secondary_is_refused_with_the_primary_named(on_primary: Folder, mysql_group: Group) -> None:
    on_primary.write(_1_item=TABLE)
    secondary = next(node for node in mysql_group.nodes if node is not on_primary.server)
    place: dict[str, Any] = {"login_port": secondary.port, "login_db": "mysql"}
    refused = on_primary.run(**place)
    assert refused["error_code"] == "dbdeploy_read_only"
    assert f"127.0.0.1:{on_primary.server.port}" in refused["msg"]
    secondary.query("STOP GROUP_REPLICATION")
    try:
        refused = on_primary.run(**place)
    finally:
        secondary.query("START GROUP_REPLICATION")
    assert refused["error_code"] == "dbdeploy_node_not_ready"
    mysql_group.wait_for(3)


def test_the_secondaries_can_be_waited_for(on_primary: Folder, mysql_group: Group) -> None:
    on_primary.write(_1_item=TABLE, _2_row="INSERT INTO item VALUES (1, 'a');")
    others = [node for node in mysql_group.nodes if node is not on_primary.server]
    done = on_primary.run(replicas=[{"host": "127.0.0.1", "port": node.port} for node in others])
    assert [node.query("SELECT id FROM item", database=on_primary.database) for node in others] == [[(1,)], [(1,)]]
    assert len(done["replicas"]) == 2


@pytest.fixture()
def primaries(mysql_group: Group) -> Iterator[list[MySQL]]:
    """The members of the group, which all take writes."""
    with mysql_group.multi_primary() as nodes:
        yield nodes


@pytest.fixture()
def on_primaries(tmp_path: Path, primaries: list[MySQL]) -> Iterator[Folder]:
    with folder(tmp_path, primaries[0]) as made:
        for node in primaries:
            wait_until(lambda node=node: node.query("SHOW DATABASES LIKE %s", (made.database,)), "the database")  # type: ignore[misc]
        yield made


def test_of_two_runners_on_two_primaries_one_wins_each_race(on_primaries: Folder, primaries: list[MySQL]) -> None:
    working = [connect(node, on_primaries.database) for node in primaries[:2]]

    def lock_of(number: int) -> RowLock:
        def further(**how: Any) -> Any:
            return connect(primaries[number], on_primaries.database, autocommit=True, **how)

        return RowLock(working[number], further, "changelog", "group_replication")

    for _winner in itertools.islice(races(lock_of), RACES):
        for node in primaries[:2]:
            wait_until(
                lambda node=node: (
                    node.query("SELECT COUNT(*) FROM changelog_lock", (), on_primaries.database) == [(0,)]
                ),  # type: ignore[misc]
                "the end of the race",
            )


def test_two_controllers_on_two_primaries_apply_each_delta_once(on_primaries: Folder, primaries: list[MySQL]) -> None:
    on_primaries.write(
        _1_item=TABLE, _2_row="INSERT INTO item VALUES (1, 'a');\nDO SLEEP(1);\nINSERT INTO item VALUES (2, 'b');"
    )
    runners = [on_primaries.start(login_port=node.port) for node in primaries]
    results = [answer(process) for process in runners]
    assert sorted(len(result["applied"]) for result in results) == [0, 0, 2], results
    assert on_primaries.rows("SELECT id FROM item") == [(1,), (2,)]


def test_a_killed_runner_is_followed_from_another_primary(on_primaries: Folder, primaries: list[MySQL]) -> None:
    on_primaries.write(_1_item=TABLE, _2_slow="INSERT INTO item VALUES (1, 'a');\nDO SLEEP(600);")
    process = on_primaries.start()
    running = (
        f"SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'DO SLEEP%%' AND DB = '{on_primaries.database}'"
    )
    wait_until(lambda: on_primaries.rows(running), "the statement")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    place: dict[str, Any] = {"login_port": primaries[1].port}
    refused = on_primaries.run(lock_timeout=0, **place)
    assert refused["error_code"] == "dbdeploy_locked"
    assert f"process {process.pid}" in refused["lock_holder"]
    on_primaries.write(_2_slow="INSERT INTO item VALUES (1, 'a');\nDO SLEEP(0);")
    assert names(on_primaries.run(lock_timeout=60, **place)["applied"]) == ["2_slow.sql"]
    assert on_primaries.rows("SELECT * FROM item") == [(1, "a")]


def test_a_delta_that_lost_against_another_primary_is_begun_again(on_primaries: Folder, primaries: list[MySQL]) -> None:
    on_primaries.write(_1_item=TABLE, _2_row="INSERT INTO item VALUES (1, 'a');")
    assert on_primaries.run()["changed"]
    gate = on_primaries.server.connect()
    gate.query(f"DO GET_LOCK('{on_primaries.database}', 0)")
    on_primaries.write(
        _3_more=f"UPDATE item SET name = CONCAT(name, 'c');\nDO GET_LOCK('{on_primaries.database}', 600);"
    )
    process = on_primaries.start()
    waits = (
        "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'DO GET_LOCK%%'"
        f" AND DB = '{on_primaries.database}'"
    )
    wait_until(lambda: on_primaries.rows(waits), "the statement")
    primaries[1].query("UPDATE item SET name = CONCAT(name, 'b')", database=on_primaries.database)
    gate.close()
    done = answer(process)
    assert [delta["retries"] for delta in done["applied"]] == [1], done
    assert on_primaries.rows("SELECT name FROM item") == [("abc",)]


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_what_is_said_of_alter_table_is_what_the_server_does(deltas: Folder) -> None:
    said = {
        "ADD x INT": ("instant", "INSTANT"), "ADD x INT DEFAULT 7 FIRST, DROP extra": ("instant", "INSTANT"),
        "RENAME COLUMN name TO title": ("instant", "INSTANT"), "ALTER name SET DEFAULT 'x'": ("instant", "INSTANT"),
        "RENAME INDEX by_name TO of_name": ("index", "INPLACE"), "ADD KEY by_extra (extra)": ("index", "INPLACE"),
    }  # fmt: skip
    deltas.write(_1_item="CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(9), extra INT, KEY by_name (name));")
    assert deltas.here()["changed"]
    for change, (effect, algorithm) in said.items():
        deltas.write(_2_change=f"ALTER TABLE item {change};")
        assert [each["effect"] for each in deltas.here(check=True)["table_changes"]] == [effect], change
        deltas.rows("CREATE TABLE copied LIKE item")
        deltas.rows(f"ALTER TABLE copied {change}, ALGORITHM={algorithm}")
        deltas.rows("DROP TABLE copied")
