# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in Redis: single servers, a cluster, sentinels; TLS and ACL; PHP's own extension and others' prefixes."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import redis.cluster
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import redis_server

from tests.support import certificates
from tests.support.modules import COLLECTIONS, run_module
from tests.support.purge import purge, refused
from tests.support.servers.redis import RedisCluster, RedisServer, Sentinel, TlsRedisServer

PHP = "PHPREDIS_SESSION:"
COUNTS = ("changed", "before", "purged", "after", "diff")


@pytest.fixture()
def server(redis_server: RedisServer) -> RedisServer:
    redis_server.client.flushall()
    return redis_server


def fill(client: Any, *names: str) -> None:
    for name in names:
        client.set(name, "user|i:1;")


def left(client: Any) -> set[str]:
    return {name.decode() for name in client.keys("*")}


def run(server: RedisServer, **options: Any) -> dict[str, Any]:
    return purge("redis", servers=[server.address], **options)


def test_the_plan_is_what_the_run_does_and_a_second_run_does_nothing(server: RedisServer) -> None:
    fill(server.client, f"{PHP}a", f"{PHP}b", f"{PHP}b_LOCK", "cache")
    arguments = {"store": "redis", "servers": [server.address]}
    plan = run_module("session_purge", arguments, check=True, diff=True)
    assert len(left(server.client)) == 4
    done = run_module("session_purge", arguments, diff=True)
    assert {key: plan[key] for key in COUNTS} == {key: done[key] for key in COUNTS}
    assert done["diff"]["before"] == f"redis {server.address} database 0: 2 sessions\n"
    assert left(server.client) == {"cache"}
    assert not run_module("session_purge", arguments)["changed"]


def test_a_session_of_the_extension_goes_with_its_lock(server: RedisServer) -> None:
    code = "session_start(); $_SESSION['user'] = 1; posix_kill(getmypid(), 9);"
    subprocess.run(
        [
            "php", "-d", "session.save_handler=redis", "-d", f"session.save_path=tcp://{server.address}",
            "-d", "redis.session.locking_enabled=1", "-r", code,
        ],
        check=False, capture_output=True,
    )  # fmt: skip
    (lock,) = left(server.client)
    assert lock.startswith(PHP)
    assert lock.endswith("_LOCK")
    fill(server.client, lock[: -len("_LOCK")])
    assert run(server)["purged"] == 1
    assert left(server.client) == set()


@pytest.mark.parametrize("pattern", [None, "[a-z]+"])
def test_who_is_kept_keeps_the_lock_too(server: RedisServer, pattern: str | None) -> None:
    kept = {f"{PHP}admin", f"{PHP}admin_LOCK"}
    fill(server.client, *kept, f"{PHP}a", f"{PHP}a_LOCK")
    done = run(server, keep_ids=["admin"], id_pattern=pattern)
    assert (done["before"], done["purged"], done["after"]) == (2, 1, 1)
    assert left(server.client) == kept


def test_other_prefixes_are_taken_as_they_are(server: RedisServer) -> None:
    session = "0123456789abcdef0123456789"
    fill(server.client, f"sf_s{session}", "sf_settings", f"sf_t{session}", f"a[b]*?:{session}", f"ab:{session}")
    assert run(server, prefix="sf_s", id_pattern="[a-z0-9]{26}")["purged"] == 1
    assert run(server, prefix="a[b]*?:")["purged"] == 1
    assert left(server.client) == {"sf_settings", f"sf_t{session}", f"ab:{session}"}


def test_only_the_database_that_is_named_is_purged(server: RedisServer) -> None:
    fill(server.client, f"{PHP}a")
    server.client.execute_command("MOVE", f"{PHP}a", 3)
    fill(server.client, f"{PHP}b")
    assert run(server, login_db="3", dedicated=True)["purged"] == 1
    assert left(server.client) == {f"{PHP}b"}
    with pytest.raises(LampError, match="'shop' is no number"):
        run(server, login_db="shop")
    with pytest.raises(LampError, match="'3' is no number"):
        run(server, login_db="3", topology="cluster")


def test_a_dedicated_database_is_flushed(server: RedisServer) -> None:
    fill(server.client, *(f"any:{number}" for number in range(50)))
    assert run(server, dedicated=True, check=True)["purged"] == 50
    done = run(server, dedicated=True)
    assert (done["purged"], done["after"], left(server.client)) == (50, 0, set())
    fill(server.client, f"{PHP}a", f"{PHP}b", "other")
    assert run(server, dedicated=True, prefix=PHP, keep_ids=["a"])["purged"] == 1
    assert left(server.client) == {f"{PHP}a", "other"}


def test_more_sessions_than_a_page_on_more_servers_than_one(server: RedisServer) -> None:
    fill(server.client, *(f"{PHP}{number}" for number in range(5000)))
    with RedisServer("--unixsocket", "redis.sock") as other:
        fill(other.client, f"{PHP}a")
        done = purge("redis", servers=[server.address, str(other.folder / "redis.sock")])
        assert (done["purged"], left(server.client), left(other.client)) == (5001, set(), set())


def test_a_user_of_an_acl_without_scripts_purges_all_the_same(server: RedisServer) -> None:
    server.client.execute_command("ACL", "SETUSER", "shop", "on", ">shop-secret", "~*", "+scan", "+unlink")
    fill(server.client, f"{PHP}a", f"{PHP}a_LOCK", f"{PHP}a_b")
    login = {"login_user": "shop", "login_password": "shop-secret"}
    assert run(server, **login)["purged"] == 1
    assert left(server.client) == {f"{PHP}a_b"}
    for wrong in ({**login, "login_password": "wrong"}, {**login, "dedicated": True}):
        result = run_module("session_purge", {"store": "redis", "servers": [server.address], **wrong})
        assert result["error_code"] == "session_purge_denied"
        assert "shop-secret" not in result.output


@pytest.mark.parametrize("command", ["EVALSHA", "SCRIPT"])
def test_a_server_without_scripts_is_purged_all_the_same(command: str) -> None:
    with RedisServer("--rename-command", command, "") as server:
        fill(server.client, f"{PHP}a", f"{PHP}b", f"{PHP}b_LOCK", f"{PHP}admin", f"{PHP}a_b", "cache")
        options: dict[str, Any] = {"keep_ids": ["admin"]}
        plan = run(server, **options, check=True)
        done = run(server, **options)
        assert {key: plan[key] for key in COUNTS} == {key: done[key] for key in COUNTS}
        assert (done["before"], done["purged"], done["ignored"]) == (3, 2, 1)
        assert left(server.client) == {f"{PHP}admin", f"{PHP}a_b", "cache"}
        error = refused("redis", servers=[server.address], older_than="0", keep_ids=["a-cookie"])
        assert (error.code, f"unknown command '{command}'" in error.message) == ("session_purge_cannot_select", True)
        assert "rename-command" in error.next_step


def test_a_server_whose_scripts_must_name_their_keys_is_purged_all_the_same(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Dragonfly has it; Redis itself never asks for that."""
    fill(server.client, f"{PHP}a", f"{PHP}a_LOCK", f"{PHP}a_b", "cache")
    words = "script tried accessing undeclared key, key: x"
    for script in ("STEP", "OLD"):
        monkeypatch.setattr(redis_server, script, f"return redis.error_reply('ERR {words}')")
    assert run(server)["purged"] == 1
    assert left(server.client) == {f"{PHP}a_b", "cache"}
    error = refused("redis", servers=[server.address], older_than="0")
    assert (error.code, "undeclared key" in error.message) == ("session_purge_cannot_select", True)


@pytest.mark.parametrize("rights", [["~*", "-unlink"], ["~cache:*", "+unlink"]], ids=["command", "keys"])
@pytest.mark.parametrize("scripts", ["+eval", "-eval"])
def test_what_the_user_may_not_remove_is_denied_in_a_script_as_well(
    server: RedisServer, rights: list[str], scripts: str
) -> None:
    allowed = ["+scan", "+type", "+time", *(["+@scripting"] if scripts == "+eval" else []), *rights]
    server.client.execute_command("ACL", "SETUSER", "looker", "reset", "on", ">look-secret", *allowed)
    fill(server.client, f"{PHP}a")
    with pytest.raises(LampError) as raised:
        run(server, login_user="looker", login_password="look-secret")
    assert (raised.value.code, left(server.client)) == ("session_purge_denied", {f"{PHP}a"}), raised.value
    assert server.address in raised.value.message


def test_names_that_are_ignored_are_not_held(server: RedisServer) -> None:
    fill = "for number = 1, 60000 do redis.call('SET', ARGV[1] .. 'a_cache_of_pages_' .. number, '') end"
    server.client.eval(fill, 0, PHP)
    tracemalloc.start()
    try:
        assert run(server, id_pattern="[a-z]+", check=True)["ignored"] >= 60000
        assert tracemalloc.get_traced_memory()[1] < 3 << 20, "60000 such names take more than 3 MiB"
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("clock", ["+time", "-time"])
def test_a_walk_in_the_server_is_made_of_short_steps(server: RedisServer, clock: str) -> None:
    rights = ["~*", "+scan", "+unlink", "+type", "+@scripting", clock]
    server.client.execute_command("ACL", "SETUSER", "stepper", "reset", "on", ">step-secret", *rights)
    fill(server.client, *(f"{PHP}{number:05}" for number in range(6200)))
    server.client.config_resetstat()
    assert run(server, login_user="stepper", login_password="step-secret")["purged"] == 6200
    steps = server.client.info("commandstats")
    assert "cmdstat_evalsha" in steps, "keys do not travel"
    assert steps["cmdstat_scan"]["calls"] >= 60
    if clock == "-time":
        assert steps["cmdstat_evalsha"]["calls"] >= 3


def test_tls_with_certificates_of_both_sides(server: RedisServer) -> None:
    with TlsRedisServer() as secure:
        fill(secure.client, f"{PHP}a")
        files = {"ca_cert": str(secure.files["ca"]), "client_cert": str(secure.files["cert"])}
        assert run(secure, **files, client_key=str(secure.files["key"]))["purged"] == 1
        for options in ({}, {"tls": True}):
            with pytest.raises(LampError) as raised:
                run(secure, **options)
            assert raised.value.code == "session_purge_unreachable"


def assert_asks_to_wait_while_slots_move(cluster: RedisCluster, options: dict[str, Any], session: str) -> None:
    """A key that has moved to its new node, whose slot has not yet."""
    slot = cluster.client.keyslot(session)
    (owner,) = (node for node in cluster.nodes if node.port == cluster.client.get_node_from_key(session).port)
    target = next(node for node in cluster.nodes if node is not owner)
    fill(owner.client, session)
    for node, state, other in ((target, "IMPORTING", owner), (owner, "MIGRATING", target)):
        node.client.execute_command("CLUSTER SETSLOT", slot, state, other.client.execute_command("CLUSTER MYID"))
    owner.client.execute_command("MIGRATE", "127.0.0.1", target.port, session, 0, 5000)
    for pattern in (None, "[0-9]+"):
        with pytest.raises(LampError, match=r"moves keys between its nodes.*Wait until no slot is open") as raised:
            purge("redis", **options, id_pattern=pattern)
        assert session not in str(raised.value), "an id is as good as a password"
    for node in (target, owner):
        node.client.execute_command("CLUSTER SETSLOT", slot, "NODE", target.client.execute_command("CLUSTER MYID"))
    assert purge("redis", **options)["purged"] == 1


def test_a_cluster_is_found_by_one_node_and_purged_on_all() -> None:
    with RedisCluster() as cluster:
        client = cluster.client
        sessions = [f"PHPREDIS_CLUSTER_SESSION:{number}" for number in range(300)]
        fill(client, *sessions, f"{sessions[0]}_LOCK", f"{PHP}a", "cache")
        options: dict[str, Any] = {"topology": "cluster", "servers": [cluster.nodes[1].address]}
        plan = purge("redis", **options, check=True)
        done = purge("redis", **options)
        assert {key: plan[key] for key in COUNTS} == {key: done[key] for key in COUNTS}
        assert done["purged"] == 300
        assert all(node.address in done["diff"]["before"] for node in cluster.nodes)
        assert {name.decode() for name in client.keys("*", target_nodes="primaries")} == {f"{PHP}a", "cache"}
        fill(client, sessions[1])
        assert purge("redis", **options, id_pattern="[0-9]+")["purged"] == 1
        rights = ["+scan", "+unlink", "+type", "+@scripting", "+time", "+cluster|slots", "+command", "+info"]
        for node in cluster.nodes:
            node.client.execute_command("ACL", "SETUSER", "shop", "on", ">shop-secret", "~PHPREDIS_CLUSTER*", *rights)
            node.client.execute_command("ACL", "SETUSER", "idle", "on", ">idle-secret", "+cluster|slots")
        fill(client, sessions[2], f"{sessions[2]}_LOCK")
        assert purge("redis", **options, login_user="shop", login_password="shop-secret")["purged"] == 1
        assert {name.decode() for name in client.keys("*", target_nodes="primaries")} == {f"{PHP}a", "cache"}
        for user, word in (("shop", "wrong"), ("idle", "idle-secret")):
            with pytest.raises(LampError) as raised:
                purge("redis", **options, login_user=user, login_password=word)
            assert raised.value.code == "session_purge_denied"
        assert_asks_to_wait_while_slots_move(cluster, options, sessions[3])
        cluster.nodes[2].kill()
        with pytest.raises(LampError) as raised:
            purge("redis", **options)
        assert raised.value.code in {"session_purge_unreachable", "session_purge_failed"}
        for node in cluster.nodes[:2]:
            node.kill()
        with pytest.raises(LampError) as raised:
            purge("redis", **options)
        assert raised.value.code == "session_purge_unreachable"


@pytest.mark.parametrize("library", ["this", "of old"])
def test_a_cluster_proves_who_it_is_on_each_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    if library == "of old":  # Debian's redis-py 4.3 does not hand it on by itself
        names = tuple(name for name in redis.cluster.REDIS_ALLOWED_KEYS if name != "ssl_check_hostname")
        monkeypatch.setattr(redis.cluster, "REDIS_ALLOWED_KEYS", names)
    files = certificates.make(tmp_path, "DNS:other.example.com")
    with RedisCluster(files) as cluster:
        fill(cluster.client, *(f"PHPREDIS_CLUSTER_SESSION:{number}" for number in range(9)))
        options: dict[str, Any] = {
            "topology": "cluster", "servers": [f"127.0.0.1:{cluster.nodes[0].tls_port}"], "ca_cert": str(files["ca"]),
        }  # fmt: skip
        with pytest.raises(LampError) as raised:
            purge("redis", **options)
        assert raised.value.code == "session_purge_unreachable"
        assert purge("redis", **options, check_hostname=False)["purged"] == 9


def test_the_primary_is_the_one_that_the_sentinels_name(server: RedisServer) -> None:
    with Sentinel(server) as sentinel:
        fill(server.client, f"{PHP}a")
        options: dict[str, Any] = {"topology": "sentinel", "servers": [sentinel.address]}
        assert purge("redis", **options)["purged"] == 1
        with pytest.raises(LampError, match="nobody"):
            purge("redis", **options, sentinel_service="nobody")
        server.client.execute_command("ACL", "SETUSER", "guarded", "on", ">shop-secret", "~*", "+scan", "+unlink")
        sentinel.client.execute_command("ACL", "SETUSER", "watcher", "on", ">watch-secret", "+sentinel|masters")
        sentinel.client.execute_command("ACL", "SETUSER", "default", "off")
        fill(server.client, f"{PHP}a")
        login: dict[str, Any] = {"login_user": "guarded", "login_password": "shop-secret"}
        logins = {**login, "sentinel_user": "watcher", "sentinel_password": "watch-secret"}
        assert purge("redis", **options, **logins)["purged"] == 1
        with pytest.raises(LampError) as raised:
            purge("redis", **options, **login)
        assert raised.value.code in {"session_purge_denied", "session_purge_failed", "session_purge_unreachable"}


def test_sentinels_and_the_primary_that_they_name_are_asked_by_tls(tmp_path: Path) -> None:
    files = certificates.make(tmp_path)
    with TlsRedisServer(files) as primary, Sentinel(primary, files) as sentinel:
        fill(primary.client, f"{PHP}a", f"{PHP}b", "neighbour")
        options: dict[str, Any] = {"topology": "sentinel", "servers": [sentinel.address]}
        trusted: dict[str, Any] = {
            "ca_cert": str(files["ca"]), "client_cert": str(files["cert"]), "client_key": str(files["key"]),
        }  # fmt: skip
        refusals: list[dict[str, Any]] = [{}, {"tls": True}]
        for refused in refusals:
            with pytest.raises(LampError) as raised:
                purge("redis", **options, **refused)
            assert raised.value.code == "session_purge_unreachable"
        assert purge("redis", **options, **trusted)["purged"] == 2
        assert primary.client.keys("*") == [b"neighbour"]


def test_a_sentinel_with_the_certificate_of_another_host_is_not_asked(tmp_path: Path) -> None:
    files = certificates.make(tmp_path, "DNS:other.example.com")
    with TlsRedisServer(files) as primary, Sentinel(primary, files) as sentinel:
        fill(primary.client, f"{PHP}a")
        options: dict[str, Any] = {
            "topology": "sentinel", "servers": [sentinel.address], "ca_cert": str(files["ca"]),
            "client_cert": str(files["cert"]), "client_key": str(files["key"]),
        }  # fmt: skip
        with pytest.raises(LampError) as raised:
            purge("redis", **options)
        assert raised.value.code == "session_purge_unreachable"
        assert purge("redis", **options, check_hostname=False)["purged"] == 1


def test_sessions_that_keep_coming_are_an_error(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(server.client, f"{PHP}a")
    module = "ansible_collections.lamp.cluster.plugins.module_utils._session_stores.redis.Redis"
    monkeypatch.setattr(f"{module}._unlink", lambda _self, names: len(names))
    with pytest.raises(LampError) as raised:
        run(server, id_pattern="[a-z]")
    assert raised.value.code == "session_purge_not_blocked"
    assert server.address in raised.value.message


def test_without_the_library_its_package_is_named(server: RedisServer) -> None:
    code = (
        "import sys; sys.modules['redis'] = None\n"
        "from tests.support.purge import purge\n"
        f"purge('redis', servers=['{server.address}'])"
    )
    path = {"PYTHONPATH": f"{COLLECTIONS}:{COLLECTIONS.parents[1]}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=path)
    assert "Failed to import the required Python library (redis)" in done.stderr
    assert "python3-redis" in done.stderr


def test_bad_addresses_are_named() -> None:
    with pytest.raises(LampError, match="'redis://x' in servers is no address"):
        purge("redis", servers=["redis://x"])
