# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for real replicas, and servers that are read-only."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.deltas import TABLE, Folder, answer, names
from tests.support.servers.base import wait_until
from tests.support.servers.galera import Replicated
from tests.support.servers.mariadb import MariaDB


@pytest.fixture()
def deltas(tmp_path: Path, replicated: Replicated) -> Iterator[Folder]:
    name = f"test_{secrets.token_hex(4)}"
    replicated.primary.query(f"CREATE DATABASE `{name}`")
    wait_until(lambda: replicated.replica.query(f"SHOW DATABASES LIKE '{name}'"), "the database on the replica")
    yield Folder(tmp_path, replicated.primary, name)
    replicate(replicated.replica, 0)
    replicated.primary.query(f"DROP DATABASE `{name}`")


def replicate(replica: MariaDB, delay: int) -> None:
    """Let the replica stay behind by so many seconds."""
    for statement in ("STOP SLAVE", f"CHANGE MASTER TO MASTER_DELAY = {delay}", "START SLAVE"):
        replica.query(statement)


def place(server: MariaDB) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": server.port}


def test_the_run_ends_when_the_replica_has_caught_up(deltas: Folder, replicated: Replicated) -> None:
    deltas.write(_1_item=TABLE, _2_row="INSERT INTO item VALUES (1, 'a');")
    replicate(replicated.replica, 1)
    done = deltas.run(replicas=[place(replicated.replica)])
    assert replicated.replica.query("SELECT id FROM item", database=deltas.database) == [(1,)]
    assert (done["replicas"][0]["port"], names(done["applied"])) == (
        replicated.replica.port,
        ["1_item.sql", "2_row.sql"],
    )
    assert done["replicas"][0]["position"].startswith("0-1-")
    again = deltas.run(replicas=[place(replicated.replica)])
    assert (again["changed"], len(again["replicas"])) == (False, 1)
    assert "replicas" not in deltas.run(replicas=[place(replicated.replica)], check=True)


def test_a_replica_that_stays_behind_fails_the_run_after_the_deltas(deltas: Folder, replicated: Replicated) -> None:
    deltas.write(_1_item=TABLE)
    replicate(replicated.replica, 600)
    late = deltas.run(replicas=[place(replicated.replica)], replica_timeout=0.2)
    assert (late["error_code"], late["replica"]) == ("dbdeploy_replica_behind", f"127.0.0.1:{replicated.replica.port}")
    assert "still behind" in late["msg"]
    assert (names(late["applied"]), late["changed"], late["database_changed"]) == (["1_item.sql"], True, True)


def test_a_replica_that_has_stopped_fails_the_run_at_once(deltas: Folder, replicated: Replicated) -> None:
    deltas.write(_1_item=TABLE)
    replicated.replica.query("STOP SLAVE SQL_THREAD")
    stopped = deltas.run(replicas=[place(replicated.replica)], replica_timeout=600)
    assert stopped["error_code"] == "dbdeploy_replica_behind"
    assert "replication has stopped" in stopped["msg"]
    replicated.replica.query("START SLAVE")
    assert deltas.run(replicas=[place(replicated.replica)])["changed"] is False


def test_a_replica_that_dies_while_it_is_waited_for_fails_the_run(deltas: Folder, replicated: Replicated) -> None:
    deltas.write(_1_item=TABLE)
    replicate(replicated.replica, 600)
    process = deltas.start(replicas=[place(replicated.replica)], replica_timeout=600)
    waits = "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT MASTER_GTID_WAIT%%'"
    wait_until(lambda: replicated.replica.query(waits), "the wait")
    replicated.replica.query(f"KILL {replicated.replica.query(waits)[0][0]}")
    cut = answer(process)
    assert (cut["error_code"], names(cut["applied"])) == ("dbdeploy_replica_behind", ["1_item.sql"])
    assert "cannot be asked any more" in cut["msg"]


def test_deltas_on_a_replica_are_refused(deltas: Folder, replicated: Replicated) -> None:
    deltas.write(_1_item=TABLE)
    for check in (True, False):
        refused = deltas.run(check=check, login_port=replicated.replica.port)
        assert refused["error_code"] == "dbdeploy_read_only"
    assert deltas.rows("SHOW TABLES") == []


def test_a_server_without_gtids_cannot_be_waited_for(tmp_path: Path, mariadb: MariaDB, database: str) -> None:
    alone = Folder(tmp_path, mariadb, database)
    alone.write(_1_item=TABLE)
    refused = alone.run(replicas=[place(mariadb)])
    assert (refused["error_code"], names(refused["applied"])) == ("dbdeploy_no_gtid", ["1_item.sql"])
