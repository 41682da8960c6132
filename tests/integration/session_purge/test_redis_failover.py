# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in Redis whose primaries become others while they are purged: behind sentinels, in a cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
import redis.sentinel
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import Tally
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.redis import Redis

from tests.support.purge import purge
from tests.support.servers.base import wait_until
from tests.support.servers.redis import RedisCluster, RedisServer, Sentinel

PHP = "PHPREDIS_SESSION:"
SERVICE = "mymaster"
CLUSTER = "PHPREDIS_CLUSTER_SESSION:"


class Watched(NamedTuple):
    """Two servers, and the sentinel that says which one is the primary."""

    primary: RedisServer
    replica: RedisServer
    sentinel: Sentinel

    @property
    def options(self) -> dict[str, Any]:
        return {"topology": "sentinel", "servers": [self.sentinel.address]}

    def is_replicated(self) -> bool:
        """Whether the sentinel would promote the replica."""
        replicas = self.sentinel.client.sentinel_slaves(SERVICE)
        return [replica["master-link-status"] for replica in replicas] == ["ok"]

    def fail_over(self) -> None:
        self.sentinel.client.execute_command("SENTINEL FAILOVER", SERVICE)

    def fails_over(self) -> bool:
        return "failover_in_progress" in self.sentinel.client.sentinel_masters()[SERVICE]["flags"]

    def has_failed_over(self) -> bool:
        return int(self.sentinel.client.sentinel_masters()[SERVICE]["port"]) == self.replica.port


@pytest.fixture()
def watched() -> Iterator[Watched]:
    with RedisServer("--repl-diskless-sync-delay", "0") as primary:
        # What the primary removed and a replica has not heard of is on it, as if it had been written there.
        options = ("--replicaof", "127.0.0.1", str(primary.port), "--replica-read-only", "no")
        with RedisServer(*options) as replica:
            wait_until(lambda: replica.client.info("replication")["master_link_status"] == "up", "the replication")
            with Sentinel(primary) as sentinel:
                servers = Watched(primary, replica, sentinel)
                wait_until(servers.is_replicated, "the sentinel's knowledge of the replica")
                yield servers


def left(server: RedisServer) -> set[str]:
    return {name.decode() for name in server.client.keys("*")}


def after_the_first_pass(monkeypatch: pytest.MonkeyPatch, happen: Callable[[], object], number: int = 1) -> None:
    """Have something happen once so many servers have been purged: between the first pass and what follows it."""
    each = Redis.purge
    passes: list[Tally] = []

    def purge_and_go_on(self: Redis) -> Tally:
        passes.append(each(self))
        if len(passes) == number:
            happen()
        return passes[-1]

    monkeypatch.setattr(Redis, "purge", purge_and_go_on)


def when_it_was_named_last(monkeypatch: pytest.MonkeyPatch, happen: Callable[[], object]) -> None:
    """Have something happen once the sentinels have named the primary after a pass that found nothing more."""
    each = redis.sentinel.Sentinel.discover_master
    asked: list[object] = []

    def discover_master(self: redis.sentinel.Sentinel, service: str) -> Any:
        asked.append(each(self, service))
        if len(asked) == 3:  # before, and after the first pass, they were asked as well
            happen()
        return asked[-1]

    monkeypatch.setattr(redis.sentinel.Sentinel, "discover_master", discover_master)


@pytest.mark.parametrize("moment", ["over", "in progress", "when it was named last"])
def test_what_a_new_primary_still_has_is_purged_too(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def happen() -> None:
        watched.fail_over()
        if moment != "in progress":
            wait_until(watched.has_failed_over, "the failover")

    watched.primary.client.set(f"{PHP}a", "user|i:1;")
    for name in (f"{PHP}missed", f"{PHP}missed_LOCK", "neighbour"):
        watched.replica.client.set(name, "user|i:1;")
    (when_it_was_named_last if moment == "when it was named last" else after_the_first_pass)(monkeypatch, happen)
    done = purge("redis", **watched.options)
    assert watched.has_failed_over()
    assert left(watched.replica) == {"neighbour"}
    assert (done["purged"] >= 2, done["after"], done["exact"]) == (True, 0, False)
    assert done["diff"]["after"] == f"redis {watched.replica.address} database 0: 0 sessions\n"
    assert not purge("redis", **watched.options)["changed"]


def test_a_primary_that_dies_is_waited_for_while_another_takes_its_place(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        watched.primary.kill()
        wait_until(watched.fails_over, "the failover's begin")

    watched.sentinel.client.execute_command("SENTINEL SET", SERVICE, "down-after-milliseconds", "200")
    watched.replica.client.set(f"{PHP}missed", "user|i:1;")
    after_the_first_pass(monkeypatch, die)
    assert purge("redis", **watched.options)["purged"] >= 1
    assert watched.has_failed_over()
    assert left(watched.replica) == set()


@pytest.mark.parametrize("dedicated", [False, True])
@pytest.mark.parametrize("waits", ["+wait", "-wait"])
def test_a_primary_that_was_made_a_replica_is_no_end_of_a_purge(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, dedicated: bool, waits: str
) -> None:
    watched.primary.client.execute_command("ACL", "SETUSER", "shop", "on", ">shop-secret", "~*", "+@all", waits)
    options = {**watched.options, "login_user": "shop", "login_password": "shop-secret", "dedicated": dedicated}
    assert purge("redis", **options)["changed"] is False
    after_the_first_pass(monkeypatch, lambda: watched.primary.client.replicaof("127.0.0.1", watched.replica.port))
    with pytest.raises(LampError, match="primary, not a replica") as raised:
        purge("redis", **options)
    assert (raised.value.code, watched.primary.address in raised.value.message) == ("session_purge_failed", True)


def test_replicas_have_removed_the_sessions_too_when_it_is_said(watched: Watched) -> None:
    watched.primary.client.set(f"{PHP}a", "user|i:1;")
    wait_until(lambda: left(watched.replica) == {f"{PHP}a"}, "the replication")
    process = watched.replica.process
    assert process
    os.kill(process.pid, signal.SIGSTOP)
    with ThreadPoolExecutor() as pool:
        try:
            done = pool.submit(purge, "redis", **watched.options)
            wait_until(lambda: watched.primary.client.info("clients")["blocked_clients"] or done.done(), "a pass")
            assert not done.done(), "nobody waits for the replica"
        finally:
            os.kill(process.pid, signal.SIGCONT)
        assert done.result()["purged"] == 1
    assert left(watched.replica) == set()


def test_what_comes_with_slots_that_have_moved_meanwhile_is_purged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisCluster() as cluster:
        first, second, last = sorted(cluster.nodes, key=lambda node: node.port)
        options: dict[str, Any] = {"topology": "cluster", "servers": [second.address, last.address]}
        target = first.client.execute_command("CLUSTER MYID")
        for is_lost in (False, True):
            names = (f"{CLUSTER}{number}" for number in range(1000))
            session = next(name for name in names if cluster.client.get_node_from_key(name).port == last.port)

            def happen(session: str = session, is_lost: bool = is_lost) -> None:
                for node in (first, second, last):
                    slot = cluster.client.keyslot(session)
                    node.client.execute_command("CLUSTER SETSLOT", slot, "NODE", target)
                first.client.set(session, "user|i:1;")
                if is_lost:
                    raise LampError("session_purge_unreachable", "It is lost.", "Run it again.")

            with monkeypatch.context() as patched:
                # Nothing is found, so that two passes are all: with the last server of the second it is done.
                after_the_first_pass(patched, happen, 6)
                done = purge("redis", **options)
            assert (done["purged"], done["after"], left(first)) == (1, 0, set())
            cluster.client.nodes_manager.initialize()
