# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that were not used for some time, where their ages are the server's own: in Redis and in Memcached."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.modules import run_module
from tests.support.purge import purge, refused
from tests.support.servers.base import wait_until
from tests.support.servers.memcached import AgingMemcachedServer, MemcachedServer
from tests.support.servers.redis import RedisCluster, RedisServer, Sentinel

REDIS, CLUSTER, MEMCACHED = "PHPREDIS_SESSION:", "PHPREDIS_CLUSTER_SESSION:", "memc.sess.key."
HOUR, DAY = 3600, 86400
OLD, YOUNG = 2 * HOUR, HOUR // 2  # beside an hour
COUNTS = ("changed", "before", "purged", "after", "ignored", "exact", "diff")


def visit(handler: str, path: str, session: str, *settings: str) -> None:
    """A request that changes nothing in its session."""
    code = f"session_id('{session}'); session_start(); echo $_SESSION['user'] ?? 'nobody';"
    options = [f"session.save_handler={handler}", f"session.save_path={path}", f"session.gc_maxlifetime={DAY}"]
    arguments = [text for option in (*options, *settings) for text in ("-d", option)]
    done = subprocess.run(["php", *arguments, "-r", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1", done.stderr


# -- Redis


@pytest.fixture()
def server(redis_server: RedisServer) -> RedisServer:
    redis_server.client.config_set("maxmemory-policy", "noeviction")
    redis_server.client.flushall()
    return redis_server


def put(client: Any, idle: int, *names: str, rest: int = DAY) -> None:
    """Keys that were last used so long ago, and end after so long (0: never)."""
    client.set("seed", "user|i:1;")
    value = client.dump("seed")
    client.delete("seed")
    for name in names:
        client.restore(name, rest * 1000, value, idletime=idle)


def left(client: Any, prefix: str = REDIS) -> set[str]:
    return {name.decode().removeprefix(prefix) for name in client.keys("*")}


def run(server: RedisServer, **options: Any) -> dict[str, Any]:
    return purge("redis", **{"servers": [server.address], "older_than": "1h", **options})


@pytest.mark.parametrize("pattern", [None, "[a-z]+"])
def test_of_redis_the_old_go_with_their_locks_and_the_plan_says_so(server: RedisServer, pattern: str | None) -> None:
    stay = {"young", "young_LOCK", "admin", "admin_LOCK", "lonely_LOCK", "a_cache", "cache"}
    old = [
        f"{REDIS}{name}" for name in ("old", "older", "old_LOCK", "admin", "admin_LOCK", "young_LOCK", "lonely_LOCK")
    ]
    put(server.client, OLD, *old, f"{REDIS}a_cache", "cache")
    put(server.client, YOUNG, f"{REDIS}young")
    arguments = {
        "store": "redis", "servers": [server.address], "older_than": "1h", "keep_ids": ["admin"], "id_pattern": pattern,
        "dedicated": True, "prefix": REDIS,
    }  # fmt: skip
    plan = run_module("session_purge", arguments, check=True, diff=True)
    assert left(server.client) == stay | {"old", "older", "old_LOCK"}
    assert server.client.object("idletime", f"{REDIS}old") >= OLD, "to look is no use of a session"
    done = run_module("session_purge", arguments, diff=True)
    assert {key: plan[key] for key in COUNTS} == {key: done[key] for key in COUNTS}
    assert (done["before"], done["purged"], done["after"]) == (4, 2, 2)
    place = f"redis {server.address} database 0"
    assert (done["diff"]["before"], done["diff"]["after"]) == (f"{place}: 4 sessions\n", f"{place}: 2 sessions\n")
    assert left(server.client) == stay
    assert not run_module("session_purge", arguments)["changed"]


@pytest.mark.parametrize("pattern", [None, "[a-z]+"])
def test_with_a_lifetime_a_session_is_as_young_as_its_latest_use(server: RedisServer, pattern: str | None) -> None:
    put(server.client, OLD, f"{REDIS}old", rest=DAY - OLD)
    put(server.client, OLD, f"{REDIS}prolonged", rest=DAY - YOUNG)
    put(server.client, YOUNG, f"{REDIS}read", rest=DAY - OLD)
    put(server.client, OLD, f"{REDIS}endless", rest=0)
    assert run(server, lifetime="1d", id_pattern=pattern)["purged"] == 1
    assert left(server.client) == {"prolonged", "read", "endless"}
    assert run(server, lifetime=str(DAY + OLD), id_pattern=pattern)["purged"] == 1, "were the lifetime longer"
    assert left(server.client) == {"read", "endless"}


def test_what_was_used_before_the_clock_was_set_back_is_not_old(server: RedisServer) -> None:
    put(server.client, (1 << 24) - 10, f"{REDIS}a")
    assert (run(server)["purged"], left(server.client)) == (0, {"a"})


def test_more_than_one_step_in_the_server(server: RedisServer) -> None:
    put(server.client, OLD, *(f"{REDIS}{number}" for number in range(3000)))
    put(server.client, YOUNG, *(f"{REDIS}young{number}" for number in range(300)))
    done = run(server)
    assert (done["purged"], len(left(server.client))) == (3000, 300)
    assert not done["exact"]


def test_a_visit_keeps_a_session_of_redis_also_while_the_server_saves() -> None:
    """Then the server does not record that a key was used: there the lifetime helps."""
    with RedisServer() as server:
        put(server.client, OLD, *(f"{REDIS}{name}" for name in ("old", "seen", "meanwhile")), rest=DAY - OLD)
        visit("redis", f"tcp://{server.address}", "seen")
        server.client.config_set("rdb-key-save-delay", 60_000_000)  # microseconds
        server.client.bgsave()
        visit("redis", f"tcp://{server.address}", "meanwhile")
        assert server.client.info("persistence")["rdb_bgsave_in_progress"]
        assert server.client.object("idletime", f"{REDIS}meanwhile") >= OLD
        assert run(server, lifetime="1d")["purged"] == 1
        assert left(server.client) == {"seen", "meanwhile"}


def allow(server: RedisServer, *rights: str) -> dict[str, Any]:
    """The options of a user who may do what a purge takes, and that."""
    usual = ["~*", "+scan", "+unlink", "+@scripting", "+type", "+time"]
    server.client.execute_command("ACL", "SETUSER", "shop", "reset", "on", ">shop-secret", *usual, *rights)
    return {"servers": [server.address], "older_than": "1h", "login_user": "shop", "login_password": "shop-secret"}


@pytest.mark.parametrize("rights", [["+object|idletime", "+info"], ["+object|idletime"], []])
def test_a_server_that_counts_uses_takes_a_lifetime(server: RedisServer, rights: list[str]) -> None:
    put(server.client, 0, f"{REDIS}old", rest=DAY - OLD)
    put(server.client, 0, f"{REDIS}young", rest=DAY - YOUNG)
    server.client.config_set("maxmemory-policy", "volatile-lfu")
    error = refused("redis", **allow(server, *rights))
    assert (error.code, server.address in error.message) == (
        "session_purge_no_lifetime" if rights else "session_purge_denied", True,
    )  # fmt: skip
    assert ("volatile-lfu" in error.message) == ("+info" in rights)
    assert left(server.client) == {"old", "young"}
    if "+info" in rights:
        assert purge("redis", **allow(server, *rights, "+pttl"), lifetime="1d")["purged"] == 1
        assert left(server.client) == {"young"}
    elif rights:
        error = refused("redis", **allow(server, *rights, "+pttl"), lifetime="1d")
        assert "allow the user info" in error.next_step


@pytest.mark.parametrize("right", ["object", "pttl", "@scripting"])
@pytest.mark.parametrize("pattern", [None, "[a-z]+"])
def test_what_a_user_needs_who_purges_by_age(server: RedisServer, right: str, pattern: str | None) -> None:
    put(server.client, OLD, f"{REDIS}old", rest=DAY - OLD)
    rights = ["+object|idletime", "+pttl"]
    error = refused("redis", **allow(server, *rights, f"-{right}"), lifetime="1d", id_pattern=pattern)
    assert (error.code, server.address in error.message) == ("session_purge_denied", True)
    assert "object|idletime" in error.next_step
    assert left(server.client) == {"old"}
    assert purge("redis", **allow(server, *rights), lifetime="1d", id_pattern=pattern)["purged"] == 1


def test_a_cluster_and_a_primary_of_sentinels_know_ages_too(server: RedisServer) -> None:
    with RedisCluster() as cluster:
        client = cluster.client
        old, young = ([f"{CLUSTER}{name}{number}" for number in range(60)] for name in ("old", "young"))
        put(client, OLD, *old, f"{old[0]}_LOCK", "cache")
        put(client, YOUNG, *young)
        options: dict[str, Any] = {
            "topology": "cluster", "servers": [cluster.nodes[0].address], "older_than": "1h",
        }  # fmt: skip
        for pattern in (None, "[a-z0-9]+"):
            plan = purge("redis", **options, id_pattern=pattern, check=True)
            done = purge("redis", **options, id_pattern=pattern)
            assert {key: plan[key] for key in COUNTS} == {key: done[key] for key in COUNTS}
            assert (done["before"], done["purged"], done["after"]) == (120, 60, 60)
            assert not purge("redis", **options, id_pattern=pattern)["changed"]
            found = {name.decode() for name in client.keys("*", target_nodes="primaries")} - {f"{old[0]}_LOCK"}
            assert found == {*young, "cache"}
            put(client, OLD, *old)
    with Sentinel(server) as sentinel:
        put(server.client, OLD, f"{REDIS}old")
        put(server.client, YOUNG, f"{REDIS}young")
        assert run(server, topology="sentinel", servers=[sentinel.address])["purged"] == 1
        assert left(server.client) == {"young"}


# -- Memcached


@pytest.fixture(scope="module")
def aged() -> Iterator[list[AgingMemcachedServer]]:
    """Two servers in which two hours have passed since they were filled, and then some more happened."""
    with AgingMemcachedServer() as one, AgingMemcachedServer() as other:
        for name in ("old", "prolonged", "seen", "admin", "lock.old", "a_cache"):
            one.client.set(f"{MEMCACHED}{name}", "user|i:1;", expire=DAY)
        other.client.set(f"{MEMCACHED}elsewhere", "user|i:1;", expire=DAY)
        other.client.set(f"{MEMCACHED}endless", "user|i:1;")
        for server in (one, other):
            server.client.set("cache", "x", expire=DAY)
            server.let_pass(OLD)
        one.client.touch(f"{MEMCACHED}prolonged", DAY)
        other.client.set(f"{MEMCACHED}new", "user|i:1;", expire=DAY)
        visit("memcached", one.address, "seen", "memcached.sess_locking=0")
        yield [one, other]


NAMES = ["old", "prolonged", "seen", "admin", "lock.old", "a_cache", "elsewhere", "endless", "new"]


def held(servers: list[AgingMemcachedServer]) -> set[str]:
    """Which of the sessions, and of what looks like them, are there."""
    names = [f"{MEMCACHED}{name}" for name in NAMES] + ["cache"]
    return {name.removeprefix(MEMCACHED) for server in servers for name in server.client.get_many(names)}


def test_of_memcached_the_old_go_and_the_plan_says_so(aged: list[AgingMemcachedServer]) -> None:
    said = aged[0].client.raw_command(f"me {MEMCACHED}prolonged")
    assert int(said.split(b"la=")[1].split()[0]) >= OLD, "what Memcached calls the last access need not be it"
    arguments = {
        "store": "memcached", "servers": [server.address for server in aged], "older_than": "1h", "lifetime": "1d",
        "keep_ids": ["admin"], "dedicated": True, "prefix": MEMCACHED,
    }  # fmt: skip
    assert run_module("session_purge", {**arguments, "older_than": "3h"})["purged"] == 0
    plan = run_module("session_purge", arguments, check=True, diff=True)
    done = run_module("session_purge", arguments, diff=True)
    assert {key: plan[key] for key in COUNTS} == {key: done[key] for key in COUNTS}
    assert (done["before"], done["purged"], done["after"], done["ignored"]) == (7, 2, 5, 1)
    assert done["diff"]["after"].splitlines() == [
        f"memcached {aged[0].address}: 3 sessions", f"memcached {aged[1].address}: 2 sessions",
    ]  # fmt: skip
    assert not run_module("session_purge", arguments)["changed"]
    assert held(aged) == {"prolonged", "seen", "admin", "a_cache", "endless", "new", "cache"}


def test_memcached_takes_a_lifetime_for_it() -> None:
    with MemcachedServer() as server:
        server.client.set(f"{MEMCACHED}a", "user|i:1;", expire=DAY)
        error = refused("memcached", servers=[server.address], older_than="0")
        assert (error.code, "gc_maxlifetime" in error.next_step) == ("session_purge_no_lifetime", True)
        assert server.client.get(f"{MEMCACHED}a")
        options: dict[str, Any] = {"servers": [server.address], "older_than": "0", "lifetime": "1d"}
        wait_until(lambda: purge("memcached", **options)["purged"], "a second of Memcached's clock")
