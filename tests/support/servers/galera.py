# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters of MariaDB on loopback: Galera of three nodes, and a primary with a replica."""

from __future__ import annotations

import os
import shutil
from functools import partial
from typing import Self

from tests.support.servers.base import free_port, wait_until
from tests.support.servers.mariadb import MariaDB

PROVIDER = os.environ.get("LAMP_GALERA", "/usr/lib/galera/libgalera_smm.so")


class GaleraNode(MariaDB):
    """One node; made by Galera."""

    name = "galera"

    def __init__(self, number: int, group: list[int], password: str) -> None:
        """``group`` holds the ports of the nodes' group communication, this node's at ``number``."""
        super().__init__()
        self.number = number
        self.group = group
        self.password = password
        self.bootstrap = False
        self.incremental, self.transfer = free_port(), free_port()

    def command(self) -> list[str]:
        own = self.group[self.number]
        provider = [
            f"gmcast.listen_addr=tcp://127.0.0.1:{own}",
            f"ist.recv_addr=127.0.0.1:{self.incremental}", "gcache.size=8M", "gcache.page_size=8M",
        ]  # fmt: skip
        return [
            # MariaDB 11.8 would make a variable of each of the provider's options but the one that isolates a node.
            *super().command(), "--loose-plugin-wsrep-provider=OFF",
            "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-on=ON",
            f"--wsrep-provider={PROVIDER}", f"--wsrep-provider-options={';'.join(provider)}",
            f"--wsrep-node-name=node{self.number + 1}", f"--wsrep-node-address=127.0.0.1:{own}",
            f"--wsrep-node-incoming-address=127.0.0.1:{self.port}",
            "--wsrep-sst-method=rsync", f"--wsrep-sst-receive-address=127.0.0.1:{self.transfer}",
            f"--wsrep-cluster-address=gcomm://{','.join(f'127.0.0.1:{port}' for port in self.group)}",
            *(["--wsrep-new-cluster"] if self.bootstrap else []),
        ]  # fmt: skip

    def status(self, name: str) -> str:
        """The value of one of the node's wsrep status variables."""
        rows = self.query("SHOW GLOBAL STATUS WHERE Variable_name = %s", (name,))
        return str(rows[0][1]) if rows else ""

    def sees(self, size: int) -> bool:
        """Whether the node is synced in a cluster of this size."""
        return self._shows(wsrep_local_state_comment="Synced", wsrep_cluster_size=str(size))

    def ready(self) -> bool:
        return self._shows(wsrep_local_state_comment="Synced")

    def _shows(self, **values: str) -> bool:
        """Whether its status variables have these values. A node that joins may cut connections that it has taken."""
        return all(self.status(name) == value for name, value in values.items())


class Galera:
    """``with Galera() as cluster: cluster.nodes[0].query(...)``; all nodes have one root password."""

    def __init__(self, size: int = 3) -> None:
        group = [free_port() for _ in range(size)]
        first = GaleraNode(0, group, "")
        first.password = MariaDB().password
        self.nodes = [first, *(GaleraNode(number, group, first.password) for number in range(1, size))]

    def __enter__(self) -> Self:
        if not shutil.which("rsync"):
            raise RuntimeError("rsync is missing, with which a Galera node joins: apt-get install rsync")
        try:
            first, *others = self.nodes
            first.prepare()
            first.bootstrap = True
            first.start()
            for node in others:
                (node.folder / "data").mkdir()
                shutil.chown(node.folder / "data", "mysql")
                shutil.copy(first.folder / "init.sql", node.folder)
                node.start()
            self.wait_for(len(self.nodes))
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_for(self, size: int) -> None:
        """Return once every running node sees ``size`` nodes and is synced."""
        for node in self.nodes:
            if node.process:
                wait_until(partial(node.sees, size), "Galera")

    def rejoin(self, node: GaleraNode) -> None:
        """Start a node that was killed, as a member of the cluster that the others still are."""
        node.bootstrap = False
        node.start()
        self.wait_for(sum(1 for other in self.nodes if other.process))

    def __exit__(self, *_exception: object) -> None:
        for node in self.nodes:
            node.__exit__()


class Replicated:
    """``with Replicated() as pair: pair.primary, pair.replica``: asynchronous replication by GTID."""

    def __init__(self) -> None:
        self.primary = MariaDB("--server-id=1", "--log-bin", "--gtid-strict-mode")
        self.replica = MariaDB("--server-id=2", "--log-bin", "--log-slave-updates", "--read-only")

    def __enter__(self) -> Self:
        try:
            self.primary.__enter__()
            self.replica.password = self.primary.password
            self.replica.__enter__()
            self.replica.query(
                "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%s, MASTER_USER='root', MASTER_PASSWORD=%s,"
                " MASTER_USE_GTID=slave_pos",
                (self.primary.port, self.primary.password),
            )
            self.replica.query("START SLAVE")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.replica.__exit__()
        self.primary.__exit__()
