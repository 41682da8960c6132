# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three web hosts behind HAProxy's round robin, sessions on three Galera nodes: every request counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.servers.base import wait_until
from tests.support.traffic import Counters, CountingUser

CLIENTS, REQUESTS = 20, 50
WEB = {"web1", "web2", "web3"}


@pytest.fixture()
def shop(tmp_path: Path) -> Cluster:
    """The shop on the scenario's bed, whose web hosts may have been reloaded a moment ago."""
    cluster = Cluster("molecule", tmp_path)
    cluster.attach()
    visitor = CountingUser(cluster.url)

    def all_answered() -> bool:
        visitor.ask()
        return visitor.hosts == WEB

    wait_until(all_answered, "answers of all web hosts")
    return cluster


def is_member(shop: Cluster, node: str) -> bool:
    """Whether a database node works in a whole cluster."""
    query = "SHOW STATUS WHERE Variable_name IN ('wsrep_cluster_size', 'wsrep_ready')"
    answer = shop.ssh(shop.addresses[node], f'mariadb -NBe "{query}" 2>/dev/null || true')
    return answer.split() == ["wsrep_cluster_size", "3", "wsrep_ready", "ON"]


def test_what_the_handler_needs_is_there_and_secret(shop: Cluster) -> None:
    listing = shop.ssh(shop.addresses["web1"], "stat -c '%a %U:%G %n' /etc/lamp.cluster/session.php /run/lamp-session")
    assert listing.splitlines() == [
        "640 root:www-data /etc/lamp.cluster/session.php",
        "770 root:www-data /run/lamp-session",
    ]


def test_a_thousand_requests_while_a_web_host_and_a_database_node_lose_power_and_come_back(shop: Cluster) -> None:
    with Counters(shop.url, CLIENTS) as crowd:
        crowd.progress(REQUESTS // 2)
        wait_until(lambda: all(user.hosts == WEB for user in crowd.users), "answers of all web hosts to each client")
        shop.bed("power-off", "web3")
        shop.bed("power-off", "db1")  # the node that all web hosts use
        crowd.progress()
        shop.bed("power-on", "db1")
        shop.bed("power-on", "web3")
        wait_until(lambda: is_member(shop, "db1"), "the node's return")
        crowd.progress(REQUESTS // 2, host="web3")
    seen = crowd.report()
    print(f"{CLIENTS} clients, web3 and db1 taken away under load: {seen}")
    assert [failure for user in crowd.users for failure in user.failures] == []
    assert (seen["lost"], seen["split"]) == (0, 0), seen
    assert seen["answered"] >= CLIENTS * REQUESTS
