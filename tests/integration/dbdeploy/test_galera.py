# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dbdeploy on a real Galera cluster: the lock across nodes, nodes that are not ready, rows that stay on one node."""

from __future__ import annotations

import itertools
import os
import secrets
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy import lock as locks
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.lock import RowLock
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._mysql import query

from tests.support.deltas import TABLE, Folder, answer, connect, names, races
from tests.support.servers.base import wait_until
from tests.support.servers.galera import Galera, GaleraNode

RACES = 200


@pytest.fixture()
def shared(galera: Galera) -> Iterator[str]:
    """The name of an empty database on all nodes."""
    name = f"test_{secrets.token_hex(4)}"
    galera.nodes[0].query(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
    for node in galera.nodes:
        wait_until(lambda node=node: node.query("SHOW DATABASES LIKE %s", (name,)), "the database")  # type: ignore[misc]
    yield name
    galera.nodes[0].query(f"DROP DATABASE `{name}`")


@pytest.fixture()
def deltas(tmp_path: Path, galera: Galera, shared: str) -> Folder:
    return Folder(tmp_path, galera.nodes[0], shared)


@pytest.fixture()
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock's times, a twentieth of what they are."""
    for name in ("BEAT", "STALE", "SILENCE", "LOOK"):
        monkeypatch.setattr(locks, name, getattr(locks, name) / 20)


def lock_of(working: Any, node: GaleraNode, database: str, **options: Any) -> RowLock:
    """The lock of a runner on ``node`` that works over the connection ``working``."""

    def further(**how: Any) -> Any:
        return connect(node, database, autocommit=True, **how)

    return RowLock(working, further, "changelog", "galera", **options)


def runner(node: GaleraNode, database: str, **options: Any) -> RowLock:
    """The lock of a new runner on ``node`` that is about to take it."""
    return lock_of(connect(node, database), node, database, **options)


def silence(lock: RowLock) -> None:
    """The runner hangs: no sign of life comes any more, but its connections are there."""
    lock.stopping.set()
    lock.thread.join()


def test_of_two_runners_on_two_nodes_one_wins_each_of_200_races(galera: Galera, shared: str) -> None:
    nodes = galera.nodes[:2]
    working = [connect(node, shared) for node in nodes]
    winners = races(lambda number: lock_of(working[number], nodes[number], shared))
    wins = sum(1 for _winner in itertools.islice(winners, RACES))
    assert wins == RACES
    assert nodes[1].query("SELECT COUNT(*) FROM changelog_lock", database=shared) == [(0,)]


def test_an_alter_of_somebody_else_that_holds_the_cluster_up_does_not_lose_the_lock(
    galera: Galera, shared: str, hurried: None
) -> None:
    first, second = galera.nodes[:2]
    first.query("CREATE TABLE slow (id INT PRIMARY KEY, v VARCHAR(100))", database=shared)
    first.query("INSERT INTO slow SELECT seq, REPEAT('x', 100) FROM seq_1_to_150000", database=shared)
    holder, other = runner(first, shared), runner(second, shared)
    holder.take(0)
    query(other.connection, "SET SESSION wsrep_sync_wait = 15")
    assert query(other.connection, "SELECT id FROM changelog_lock") == [(1,)]
    with ThreadPoolExecutor(1) as pool:
        altered = pool.submit(second.query, "ALTER TABLE slow MODIFY v VARCHAR(200), ALGORITHM=COPY", (), shared)
        with pytest.raises(LampError, match=f"root@localhost .*process {os.getpid()} .* UTC") as refused:
            other.take(locks.SILENCE * 2)
        altered.result()
    assert refused.value.code == "dbdeploy_locked"
    holder.check()
    holder.free()
    other.take(0)
    other.free()


def test_a_runner_in_the_middle_of_its_own_ddl_is_not_followed_by_silence(deltas: Folder, galera: Galera) -> None:
    deltas.write(_1_item=TABLE)
    assert deltas.run()["changed"]
    deltas.write(_2_more="ALTER TABLE item ADD extra INT;")
    reader = deltas.server.connect(deltas.database)
    reader.query("LOCK TABLES item READ")  # holds the ALTER up on this node alone
    process = deltas.start()
    wait_until(lambda: deltas.rows("SELECT 1 FROM information_schema.PROCESSLIST WHERE INFO LIKE 'ALTER TABLE item%%'"),
               "the ALTER")  # fmt: skip
    refused = deltas.run(login_port=galera.nodes[1].port, lock_timeout=locks.SILENCE + 4)
    assert refused["error_code"] == "dbdeploy_locked"
    reader.close()
    assert names(answer(process)["applied"]) == ["2_more.sql"]
    assert not deltas.run(login_port=galera.nodes[1].port)["changed"]


def test_a_silent_runner_is_followed_from_another_node_and_notices(galera: Galera, shared: str, hurried: None) -> None:
    silent, other = runner(galera.nodes[0], shared), runner(galera.nodes[1], shared)
    silent.take(0)
    silence(silent)
    other.take(10)
    with pytest.raises(LampError) as lost:
        silent.check()
    assert lost.value.code == "dbdeploy_lock_lost"
    other.check()
    other.free()


def test_on_its_own_node_a_runner_is_alive_while_its_connection_is(galera: Galera, shared: str, hurried: None) -> None:
    silent, other = runner(galera.nodes[0], shared), runner(galera.nodes[0], shared)
    silent.take(0)
    silence(silent)
    with pytest.raises(LampError):
        other.take(locks.SILENCE * 2)
    silent.connection.close()
    other.take(locks.SILENCE / 2)
    other.free()


def test_a_killed_runner_is_followed_as_soon_as_its_statement_has_ended(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE, _2_slow="DO SLEEP(600);")
    process = deltas.start()
    running = f"SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'DO SLEEP%%' AND DB = '{deltas.database}'"
    wait_until(lambda: deltas.rows(running), "the statement")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    connection = deltas.rows(running)[0][0]
    refused = deltas.run(lock_timeout=0)
    assert (refused["error_code"], f"(connection {connection}), process {process.pid}" in refused["lock_holder"]) == (
        "dbdeploy_locked", True,
    )  # fmt: skip
    deltas.server.query(f"KILL {connection}")
    deltas.write(_2_slow="DO SLEEP(0);")
    assert deltas.run(lock_timeout=5)["changed"]
    assert deltas.applied() == [1, 2]


def test_two_controllers_on_two_nodes_apply_each_delta_once(deltas: Folder, galera: Galera) -> None:
    deltas.write(
        _1_item=TABLE, _2_row="INSERT INTO item VALUES (1, 'a');\nDO SLEEP(1);\nINSERT INTO item VALUES (2, 'b');"
    )
    runners = [deltas.start(login_port=node.port) for node in galera.nodes]
    results = [answer(process) for process in runners]
    assert sorted(len(result["applied"]) for result in results) == [0, 0, 2]
    assert deltas.rows("SELECT id FROM item") == [(1,), (2,)]


def test_a_user_who_may_not_make_the_tables_is_told_so(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE)
    user = deltas.database
    deltas.server.query(f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY 'few-grants'")
    deltas.server.query(f"GRANT SELECT, INSERT ON {deltas.database}.* TO {user}@'127.0.0.1'")
    refused = deltas.run(login_user=user, login_password="few-grants")
    deltas.server.query(f"DROP USER {user}@'127.0.0.1'")
    assert refused["error_code"] == "dbdeploy_records"
    assert "changelog_lock" in refused["msg"]


def test_a_node_that_is_not_synced_is_refused(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE)
    deltas.server.query("SET GLOBAL wsrep_desync = ON")
    try:
        refused = deltas.run(check=True)
    finally:
        deltas.server.query("SET GLOBAL wsrep_desync = OFF")
    assert refused["error_code"] == "dbdeploy_node_not_ready"
    assert f"127.0.0.1:{deltas.server.port}" in refused["msg"]
    assert "wsrep_local_state_comment is Donor/Desynced, not Synced" in refused["msg"]
    wait_until(lambda: deltas.run()["changed"], "a synced node")


def test_a_node_without_its_cluster_is_refused(deltas: Folder, galera: Galera) -> None:
    deltas.write(_1_item=TABLE)
    alone = galera.nodes[2]
    alone.query("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'")
    try:
        wait_until(lambda: alone.status("wsrep_cluster_status") != "Primary", "the loss of the cluster")
        refused = deltas.run(login_port=alone.port)
    finally:
        alone.query("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'")
    assert refused["error_code"] == "dbdeploy_node_not_ready"
    assert "wsrep_cluster_status is non-Primary, not Primary" in refused["msg"]
    galera.wait_for(3)
    assert deltas.run(login_port=alone.port)["changed"]


@pytest.mark.parametrize(
    "delta",
    [
        "CREATE TABLE local (id INT PRIMARY KEY) ENGINE=MyISAM;",
        "CREATE OR REPLACE TABLE `local` (id INT, note TEXT COMMENT 'engine=InnoDB') engine = 'aria';",
        "ALTER TABLE item ENGINE MEMORY;",
        "CREATE TABLE copied LIKE old;",
        "SET SESSION default_storage_engine = MyISAM;",
        "INSERT INTO old VALUES (2);",
        "REPLACE `old` SET id = 2;",
        "UPDATE item, old SET old.id = 3;",
        "DELETE FROM old WHERE id = 1;",
        "SELECT 1;\n-- //@UNDO\nDELETE FROM old;",
    ],
)
def test_rows_that_galera_would_not_replicate_are_refused(deltas: Folder, delta: str) -> None:
    deltas.server.query("CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM", database=deltas.database)
    deltas.write(_1_item=TABLE)
    assert deltas.run()["changed"]
    deltas.write(_2_local=delta)
    undoes = "@UNDO" in delta
    if undoes:
        assert deltas.run()["changed"]
    options: dict[str, Any] = {"state": "undone", "to": 1} if undoes else {}
    refused = deltas.run(check=True, **options)
    assert (refused["error_code"], "2_local.sql, line" in refused["msg"]) == ("dbdeploy_not_replicated", True)
    accepted = deltas.run(allow_unreplicated=True, **options)
    assert accepted["undone" if undoes else "applied"][0]["name"] == "2_local.sql"


def test_what_galera_replicates_is_not_refused(deltas: Folder) -> None:
    deltas.server.query("CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM", database=deltas.database)
    deltas.write(
        _1_item=TABLE,
        _2_rows="INSERT INTO item SELECT id, 'a' FROM old;\nINSERT INTO item VALUES (7, 'DELETE FROM old');\n"
        "UPDATE item SET name = 'old' WHERE id IN (SELECT id FROM old);",
        _3_temporary="CREATE TEMPORARY TABLE scratch (id INT) ENGINE=MEMORY;\nINSERT INTO scratch VALUES (1);",
        _4_gone="DROP TABLE old;",
        _5_note="CREATE TABLE note (id INT PRIMARY KEY) COMMENT='was ENGINE=MyISAM';",
    )
    assert len(deltas.run()["applied"]) == 5


def test_ddl_that_users_will_notice_is_announced(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE, _2_rows="INSERT INTO item VALUES (1,'a'),(2,'b');")
    assert "warnings" not in deltas.run()
    deltas.write(
        _3_more="CREATE TABLE more (id INT PRIMARY KEY);\nALTER TABLE item\n  ADD extra INT;",
        _4_routine="CREATE PROCEDURE rename_all()\nBEGIN\nUPDATE item SET name = 'd';\nEND;",
        _5_view="CREATE OR REPLACE VIEW names AS SELECT name FROM item;",
    )
    reader = deltas.server.connect(deltas.database, autocommit=False)
    reader.query("UPDATE item SET name = 'c' WHERE id = 2")
    number = reader.thread_id()
    warned = deltas.run(check=True)["warnings"]
    reader.close()
    assert len(warned) == 1
    warning = str(warned[0])
    assert f"(connection {number}," in warning
    assert "3_more.sql, line 2: ALTER TABLE item ADD extra INT (about 2 rows)" in warning
    assert not [text for text in ("CREATE TABLE more", "4_routine.sql", "5_view.sql") if text in warning]
