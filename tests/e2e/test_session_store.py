# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of the demo application on the cluster: every request counts, also while hosts lose power and come back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.cluster import Cluster, address
from tests.support.servers.base import wait_until
from tests.support.traffic import CountingUser, report

CLIENTS, REQUESTS = 20, 50
NODES = [{"host": address(f"db{number}"), "port": 3306} for number in (1, 2, 3)]


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Cluster:
    """The shop with its sessions on the three database nodes, without a load balancer in between."""
    run = cluster.deploy("v3")
    assert run.code == 0, run.output
    run = cluster.playbook("lamp.cluster.setup", "-e", json.dumps({"session_store_servers": NODES}))
    assert run.code == 0, run.output
    visitor = CountingUser(cluster.url)

    def all_answered() -> bool:
        visitor.ask()
        return visitor.hosts == {"web1", "web2", "web3"}

    wait_until(all_answered, "answers of all web hosts, which have just been reloaded")
    return cluster


def all_at_once(users: list[CountingUser], work: Callable[[CountingUser], None]) -> None:
    with ThreadPoolExecutor(len(users)) as pool:
        list(pool.map(work, users))


def test_a_thousand_requests_of_twenty_clients_lose_no_count(shop: Cluster) -> None:
    users = [CountingUser(shop.url) for _ in range(CLIENTS)]

    def visit(user: CountingUser) -> None:
        for _request in range(REQUESTS):
            user.ask()

    all_at_once(users, visit)
    for user in users:
        assert user.failures == []
        assert user.counts == list(range(1, REQUESTS + 1))
        assert user.hosts == {"web1", "web2", "web3"}
        assert len(user.jar) == 1


def test_what_the_handler_needs_is_there_and_secret(shop: Cluster) -> None:
    listing = shop.ssh(address("web1"), "stat -c '%a %U:%G %n' /etc/lamp.cluster/session.php /run/lamp-session")
    assert listing.splitlines() == [
        "640 root:www-data /etc/lamp.cluster/session.php",
        "770 root:www-data /run/lamp-session",
    ]


def is_member(shop: Cluster, node: str) -> bool:
    """Whether a database node works in a whole cluster."""
    query = "SHOW STATUS WHERE Variable_name IN ('wsrep_cluster_size', 'wsrep_ready')"
    answer = shop.ssh(address(node), f'mariadb -NBe "{query}" 2>/dev/null || true')
    return answer.split() == ["wsrep_cluster_size", "3", "wsrep_ready", "ON"]


def test_a_web_host_and_a_database_node_lose_power_and_come_back(
    shop: Cluster, record_property: Callable[[str, Any], None]
) -> None:
    users = [CountingUser(shop.url) for _ in range(CLIENTS)]
    finished = threading.Event()

    def visit(user: CountingUser) -> None:
        while not finished.is_set():
            user.ask()

    def progress(host: str = "") -> None:
        """Return when each client had two more answers, and one of them came from ``host``."""
        wanted = [len(user.counts) + 2 for user in users]
        for user in users:
            user.hosts.clear()
        wait_until(lambda: all(len(user.counts) >= n for user, n in zip(users, wanted, strict=True)), "requests")
        wait_until(lambda: not host or any(host in user.hosts for user in users), f"an answer of {host}")

    traffic = threading.Thread(target=all_at_once, args=(users, visit))
    traffic.start()
    try:
        progress()
        shop.bed("power-off", "web3")
        shop.bed("power-off", "db1")  # the node that all of them use
        progress()
        shop.bed("power-on", "db1")
        shop.bed("power-on", "web3")
        wait_until(lambda: is_member(shop, "db1"), "the node's return")
        progress("web3")
    finally:
        finished.set()
        traffic.join()

    seen = report(users)
    print(f"with web3 and db1 taken away: {seen}")
    record_property("report", seen)
    assert [failure for user in users for failure in user.failures] == []
    assert (seen["lost"], seen["split"]) == (0, 0), seen
