# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would keep a purge from removing anything is known when it only counts, as a deploy does before its window."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.couchdb import CouchDb as Store

from tests.integration.session_purge.test_role import play
from tests.support.modules import BIN, run_module
from tests.support.purge import purge, refused
from tests.support.servers.base import wait_until
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.memcached import MemcachedServer, SaslMemcachedServer
from tests.support.servers.redis import RedisServer

KEY = "PHPREDIS_SESSION:a"
LOGIN: dict[str, Any] = {"login_user": "shop", "login_password": "shop-secret"}


PLAN = """
- hosts: web1
  gather_facts: false
  vars_files: [variables.json]
  tasks:
    - block:
        - ansible.builtin.include_role: {name: lamp.cluster.deploy, tasks_from: plan_drop, rolespec_validate: false}
          vars: {dbdeploy_plan: {pending: []}}
        - ansible.builtin.debug: {msg: planned}
      rescue:
        - ansible.builtin.debug: {msg: "refused, {{ ansible_failed_result.msg }}"}
"""


def plan_of_a_deploy(folder: Path, **options: Any) -> str:
    """What the plan of a deploy that is to drop sessions prints."""
    variables = {f"session_purge_{name}": value for name, value in options.items()}
    (folder / "variables.json").write_text(json.dumps({**variables, "ansible_python_interpreter": str(BIN / "python")}))
    (folder / "plan.yml").write_text(PLAN)
    return play(folder, "plan.yml")


# -- what would leave some


DROP = """
- hosts: web1
  gather_facts: false
  vars_files: [variables.json]
  tasks:
    - block:
        - &plan
          ansible.builtin.include_role: {name: lamp.cluster.deploy, tasks_from: plan_drop, rolespec_validate: false}
          vars: {dbdeploy_plan: {pending: []}}
        - ansible.builtin.include_role: {name: lamp.cluster.deploy, tasks_from: drop, rolespec_validate: false}
      rescue:
        - &refused
          ansible.builtin.debug: {msg: "refused, {{ ansible_failed_result.msg }}"}
    - vars: {session_purge_where: blocked}
      block: [*plan]
      rescue: [*refused]
"""


@pytest.mark.parametrize("given", [(), ("-e", "session_purge_older_than=2h")])
def test_a_tagged_drop_is_of_all_sessions_whatever_the_inventory_has_for_purges_by_hand(
    tmp_path: Path, given: tuple[str, ...]
) -> None:
    session = tmp_path / "sessions" / "sess_a"
    session.parent.mkdir()
    session.touch()
    variables = {
        "session_purge_store": "files", "session_purge_save_path": str(session.parent),
        "session_purge_older_than": "2h", "ansible_python_interpreter": str(BIN / "python"),
    }  # fmt: skip
    (tmp_path / "variables.json").write_text(json.dumps(variables))
    (tmp_path / "drop.yml").write_text(DROP)
    output = play(tmp_path, "drop.yml", *given)
    refusal = "refused, The build is tagged to drop all sessions, and {} would leave some of them."
    assert (session.exists(), refusal.format("session_purge_older_than") in output) == (bool(given), bool(given))
    assert f"{'session_purge_older_than and ' if given else ''}session_purge_where would leave some" in output


# -- Redis


def allow(server: RedisServer, *rights: str) -> dict[str, Any]:
    """The options of a user who may do that alone; there is one session."""
    server.client.flushall()
    server.client.set(KEY, "user|i:1;")
    server.client.execute_command("ACL", "SETUSER", "shop", "reset", "on", ">shop-secret", *rights)
    return {"servers": [server.address], **LOGIN}


@pytest.mark.parametrize(
    "rights",
    [
        ["~*", "+scan"],
        ["~*", "+scan", "+@scripting", "+type", "+time"],
        ["~cache:*", "+scan", "+unlink"],
        ["~*", "+@all", "-unlink"],
    ],
)
def test_a_user_of_redis_who_may_not_unlink(redis_server: RedisServer, rights: list[str]) -> None:
    error = refused("redis", **allow(redis_server, *rights))
    assert (error.code, redis_server.address in error.message) == ("session_purge_denied", True)
    assert redis_server.client.keys("*") == [KEY.encode()]


def test_a_user_of_redis_who_may_not_flush(redis_server: RedisServer) -> None:
    options = {**allow(redis_server, "~*", "+@all", "-flushdb"), "dedicated": True}
    error = refused("redis", **options)
    assert (error.code, redis_server.address in error.message) == ("session_purge_denied", True)
    assert redis_server.client.keys("*") == [KEY.encode()]


@pytest.mark.parametrize("transactions", ["+multi", "-multi"])
def test_a_user_of_redis_who_may_flush_has_flushed_nothing_by_the_plan(
    redis_server: RedisServer, transactions: str
) -> None:
    options = {**allow(redis_server, "+dbsize", "+flushdb", transactions), "dedicated": True}
    assert purge("redis", **options, check=True)["purged"] == 1
    assert redis_server.client.keys("*") == [KEY.encode()]
    assert purge("redis", **options)["purged"] == 1
    assert redis_server.client.dbsize() == 0


@pytest.mark.parametrize("dedicated", [False, True])
def test_a_replica_of_redis(redis_server: RedisServer, dedicated: bool) -> None:
    allow(redis_server)
    redis_server.client.config_set("repl-diskless-sync-delay", 0)
    with RedisServer("--replicaof", "127.0.0.1", str(redis_server.port)) as replica:
        wait_until(lambda: replica.client.exists(KEY), "the replication")
        error = refused("redis", servers=[replica.address], dedicated=dedicated)
        assert "the primary, not a replica" in str(error)
        assert replica.address in error.message


@pytest.mark.parametrize("check", [True, False])
def test_a_session_to_keep_that_a_variable_does_not_name(redis_server: RedisServer, check: bool) -> None:
    """What a lookup of an environment variable gives that is not set: nobody would be kept by it."""
    arguments = {"store": "redis", **allow(redis_server, "~*", "+@all"), "keep_ids": [""], "dedicated": True}
    result = run_module("session_purge", arguments, check=check)
    assert (result["error_code"], "keep_ids" in result["msg"]) == ("session_purge_empty_entry", True)
    assert redis_server.client.keys("*") == [KEY.encode()]


# -- Memcached


@pytest.mark.parametrize("sasl", [False, True])
def test_a_memcached_that_does_not_let_itself_be_flushed(sasl: bool) -> None:
    login = {**LOGIN, "sasl": True} if sasl else {}
    with (SaslMemcachedServer if sasl else MemcachedServer)("-F") as server:
        error = refused("memcached", servers=[server.address], dedicated=True, **login)
        assert (error.code, "refuses flush_all" in error.message) == ("session_purge_failed", True)
        assert server.address in error.message


# -- CouchDB


@pytest.fixture(scope="module")
def guarded() -> Iterator[CouchDb]:
    """One where root is the admin, and shop a user who may read and write ``phpsessid``, but not ``secret``."""
    with CouchDb(admin=("root", "root-secret")) as server:
        user = {"name": "shop", "password": "shop-secret", "roles": [], "type": "user"}
        server.request("PUT", "/_users/org.couchdb.user:shop", user)
        for database, member in (("phpsessid", "shop"), ("secret", "root")):
            server.request("PUT", f"/{database}")
            server.request("PUT", f"/{database}/a", {"data": "user|i:1;", "createdAt": 1})
            members = {"admins": {"names": ["root"], "roles": []}, "members": {"names": [member], "roles": []}}
            server.request("PUT", f"/{database}/_security", members)
        yield server


def test_a_user_of_couchdb_who_is_no_admin_purges_by_documents_alone(guarded: CouchDb) -> None:
    options = {"url": guarded.url, "login_db": "phpsessid", **LOGIN}
    error = refused("couchdb", **options, dedicated=True)
    assert (error.code, "user shop" in error.message) == ("session_purge_denied", True)
    assert guarded.request("GET", "/phpsessid")["doc_count"] == 1
    admin = {**options, "login_user": "root", "login_password": "root-secret"}
    assert purge("couchdb", **admin, dedicated=True, check=True)["purged"] == 1
    assert purge("couchdb", **options)["purged"] == 1
    assert guarded.request("GET", "/phpsessid")["doc_count"] == 0


@pytest.mark.parametrize(
    ("login", "database"),
    [({"login_password": "wrong-secret"}, "phpsessid"), ({"login_user": "root"}, "phpsessid"), ({}, "secret")],
    ids=["wrong password", "another's password", "no member"],
)
def test_a_login_that_couchdb_refuses(guarded: CouchDb, login: dict[str, Any], database: str) -> None:
    arguments = {"store": "couchdb", "url": guarded.url, "login_db": database, **LOGIN, **login}
    for check in (True, False):
        result = run_module("session_purge", arguments, check=check)
        assert (result["error_code"], guarded.url in result["msg"]) == ("session_purge_denied", True)
        assert "-secret" not in result.output
    assert guarded.request("GET", "/secret")["doc_count"] == 1


def test_a_database_that_a_killed_purge_dropped_stops_no_deploy(
    couchdb: CouchDb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = f"phpsessid-{secrets.token_hex(4)}"
    couchdb.request("PUT", f"/{database}")
    couchdb.request("PUT", f"/{database}/a", {"data": "user|i:1;", "createdAt": 1})
    options: dict[str, Any] = {"url": couchdb.url, "login_db": database, "dedicated": True}
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(Store, "_restore", Mock(side_effect=KeyboardInterrupt))
        purge("couchdb", **options)
    output = plan_of_a_deploy(tmp_path, store="couchdb", **options)
    assert ("planned" in output, "refused" in output) == (True, False), output


# -- Files


@pytest.fixture()
def store() -> Iterator[Path]:
    """A folder with a session, which everybody can reach."""
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        folder = Path(root, "sessions")
        folder.mkdir()
        (folder / "sess_a").write_text("user|i:1;")
        yield folder


def test_a_folder_whose_name_others_than_root_can_change(store: Path, tmp_path: Path) -> None:
    store.parent.chmod(0o777)
    output = plan_of_a_deploy(tmp_path, store="files", save_path=str(store), dedicated=True)
    assert f"refused, {store} cannot be exchanged: others than root can write in {store.parent}." in output, output
    error = refused("files", save_path=str(store), dedicated=True, leftovers="leave")
    assert (error.code, os.listdir(store)) == ("session_purge_unsafe_parent", ["sess_a"])
    assert purge("files", save_path=str(store), dedicated=True)["purged"] == 1


@pytest.mark.parametrize("dedicated", [False, True])
def test_a_folder_that_cannot_be_written_to(store: Path, dedicated: bool) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "none", str(store)], check=True)
    try:
        (store / "sess_b").write_text("user|i:1;")
        subprocess.run(["mount", "-o", "remount,ro", str(store)], check=True)
        error = refused("files", save_path=str(store), dedicated=dedicated)
        assert (error.code, str(store) in error.message) == ("session_purge_not_removed", True)
    finally:
        subprocess.run(["umount", "-l", str(store)], check=True)


def test_a_session_file_that_cannot_be_removed_is_named(store: Path) -> None:
    """Nobody may remove a file of another's from a folder with the sticky bit, whatever its mode says."""
    store.chmod(0o1777)
    os.seteuid(65534)
    try:
        with pytest.raises(LampError) as raised:
            purge("files", save_path=str(store), owner="root")
    finally:
        os.seteuid(0)
    assert raised.value.code == "session_purge_not_removed"
    assert raised.value.message.startswith(f"sess_a in the session folder {store} cannot be read or removed: ")
    assert os.listdir(store) == ["sess_a"]
