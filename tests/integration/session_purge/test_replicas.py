# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The purge of a table that a replica leaves out: its replication goes on."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.integration.session_purge.database import Database
from tests.support.purge import purge
from tests.support.servers.base import wait_until
from tests.support.servers.galera import Replicated
from tests.support.servers.mariadb import MariaDB


@pytest.fixture()
def sessions(replicated: Replicated) -> Iterator[Database]:
    """The table ``s`` of three sessions on the primary."""
    made = Database(replicated.primary, f"test_{secrets.token_hex(4)}")
    replicated.primary.query(f"CREATE DATABASE `{made.database}`")
    made.sql("CREATE TABLE s (id INT PRIMARY KEY)")
    made.sql("INSERT INTO s VALUES (1), (2), (3)")
    yield made
    replicated.primary.query(f"DROP DATABASE `{made.database}`")


def leave_out(replica: MariaDB, option: str, tables: str) -> None:
    replica.query("STOP SLAVE")
    replica.query(f"SET GLOBAL {option} = %s", (tables,))
    replica.query("START SLAVE")


@pytest.mark.parametrize(
    ("option", "sign", "exchange"),
    [("replicate_ignore_table", "", False), ("replicate_wild_ignore_table", "%", True)],
    ids=["this table, always emptied", "with the tables put aside"],
)
def test_a_replica_that_leaves_the_table_out_goes_on(
    replicated: Replicated, sessions: Database, option: str, sign: str, exchange: bool
) -> None:
    options = {**replicated.primary.login, "login_db": sessions.database, "layout": "custom", "table": "s"}
    leave_out(replicated.replica, option, f"{sessions.database}.s{sign}")
    try:
        assert purge("mysql", **options, leftovers="leave", exchange=exchange)["purged"] == 3
        assert purge("mysql", **options, leftovers="only")["swept"] == (3 if exchange else 0)
        sessions.sql("CREATE TABLE later (id INT)")
        there = f"SHOW TABLES FROM `{sessions.database}` LIKE 'later'"
        wait_until(lambda: replicated.replica.query(there), "the replication")
    finally:
        leave_out(replicated.replica, option, "")
    assert sessions.sql("SHOW TABLES") == [("later",), ("s",)]
