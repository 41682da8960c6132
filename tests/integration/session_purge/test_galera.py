# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The purge of a table that Galera replicates: through any node, on all of them."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from tests.support.purge import purge
from tests.support.servers.base import wait_until
from tests.support.servers.galera import Galera
from tests.support.servers.session_store import create_tables


class Cluster:
    """A database on the cluster with this collection's own tables and 200 sessions."""

    def __init__(self, galera: Galera) -> None:
        self.nodes = galera.nodes
        self.database = f"test_{secrets.token_hex(4)}"
        self.nodes[0].query(f"CREATE DATABASE `{self.database}`")
        create_tables(self.nodes[0], self.database)
        ids = ", ".join(
            f"(UNHEX(SHA2('{number}', 256)), 'x', 1, 0, UNIX_TIMESTAMP(), UNIX_TIMESTAMP() + 900)"
            for number in range(200)
        )
        self.nodes[0].query(f"INSERT INTO lamp_session VALUES {ids}", database=self.database)
        wait_until(lambda: self.everywhere("SELECT COUNT(*) FROM lamp_session") == {200}, "the sessions on all nodes")

    def purge(self, node: int, **options: Any) -> dict[str, Any]:
        return purge("mysql", **self.nodes[node].login, login_db=self.database, **options)

    def everywhere(self, sql: str) -> set[Any]:
        return {node.query(sql, database=self.database)[0][0] for node in self.nodes}


@pytest.fixture()
def cluster(galera: Galera) -> Cluster:
    return Cluster(galera)


@pytest.mark.parametrize("on_lock", ["delete", "swap"])
def test_all_nodes_are_empty_and_in_the_new_epoch(cluster: Cluster, on_lock: str) -> None:
    done = cluster.purge(1, on_lock=on_lock)
    assert (done["before"], done["purged"], done["after"], done["epoch"]) == (200, 200, 0, 2)
    wait_until(lambda: cluster.everywhere("SELECT COUNT(*) FROM lamp_session") == {0}, "the replication")
    wait_until(lambda: cluster.everywhere("SELECT MAX(epoch) FROM lamp_session_epoch") == {2}, "the replication")


def test_rows_are_deleted_in_small_transactions_on_all_nodes(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.lamp.cluster.plugins.module_utils._session_stores.sql.CHUNK", 30)
    done = cluster.purge(2, keep_ids=["7"])
    assert (done["before"], done["purged"], done["after"]) == (200, 199, 1)
    wait_until(lambda: cluster.everywhere("SELECT COUNT(*) FROM lamp_session") == {1}, "the replication")
    wait_until(lambda: cluster.everywhere("SELECT epoch FROM lamp_session") == {2}, "the replication")
