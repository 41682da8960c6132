# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drop in the deploy, in each store: recorded with the delta, made up for by the next run, done once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.modules import BIN, COLLECTIONS, ROOT, run_module
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.memcached import MemcachedServer
from tests.support.servers.redis import RedisServer

PLAYBOOK = Path(__file__).with_name("deploy.yml")
TAGS = {"delta": "tagged.sql", "truncation": "truncates.sql", "release": "release 3f2a91c"}
ID = "0123456789abcdefghijklmnop"


class Shop:
    """An application with a database, deltas, and sessions in one store."""

    def __init__(self, folder: Path, login: dict[str, Any], options: dict[str, Any]) -> None:
        self.folder = folder
        self.hosts = "localhost,"
        self.login = login
        self.deltas = folder / "deltas"
        self.deltas.mkdir()
        self.variables = {
            **{f"dbdeploy_{name}": value for name, value in login.items()},
            **{f"session_purge_{name}": value for name, value in options.items()},
            "dbdeploy_src": str(self.deltas), "dbdeploy_session_table": "sessions",
            "ansible_python_interpreter": sys.executable,
        }  # fmt: skip
        self.log_in: Callable[..., object]
        self.is_logged_in: Callable[..., bool]

    def deploy(self, cut_at: str = "") -> str:
        """What a run prints, which is killed where the task ``cut_at`` would begin."""
        (self.folder / "variables.json").write_text(json.dumps(self.variables))
        done = subprocess.run(
            [
                str(BIN / "ansible-playbook"), "-i", self.hosts, "-c", "local", "-e",
                f"@{self.folder}/variables.json", str(PLAYBOOK),
            ],
            capture_output=True, text=True, check=False, cwd=self.folder,
            env={
                **os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_NOCOLOR": "1", "CUT_AT": cut_at,
                "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests" / "support" / "cut"), "ANSIBLE_CALLBACKS_ENABLED": "cut",
                "ANSIBLE_FORKS": "1",
            },
        )  # fmt: skip
        assert done.returncode == (-signal.SIGKILL if cut_at else 0), done.stdout + done.stderr
        return done.stdout

    def due(self) -> list[str]:
        """The drops that the status shows as due."""
        looked = run_module("dbdeploy", {**self.login, "src": str(self.deltas)}, check=True)
        return list(looked["drop_reasons"])


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def memcached() -> Iterator[MemcachedServer]:
    with MemcachedServer() as server:
        yield server


def in_files(_request: pytest.FixtureRequest, folder: Path, _login: dict[str, Any]) -> tuple[Any, ...]:
    sessions = folder / "sessions"
    sessions.mkdir()
    options = {"store": "files", "save_path": str(sessions), "dedicated": True}
    return (
        options,
        lambda name=ID: (sessions / f"sess_{name}").write_text("user|i:1;"),
        lambda name=ID: (sessions / f"sess_{name}").exists(),
    )


def in_mysql(request: pytest.FixtureRequest, _folder: Path, login: dict[str, Any]) -> tuple[Any, ...]:
    server: MariaDB = request.getfixturevalue("mariadb")
    database = login["login_db"]
    server.query("CREATE TABLE sessions (sess_id VARCHAR(64) PRIMARY KEY, sess_time INT)", database=database)
    options = {"store": "mysql", "layout": "symfony", **login}
    return (
        options,
        lambda name=ID: server.query(f"REPLACE INTO sessions VALUES ('{name}', 1)", database=database),
        lambda name=ID: server.query(f"SELECT 1 FROM sessions WHERE sess_id = '{name}'", database=database) != [],
    )


def in_redis(request: pytest.FixtureRequest, _folder: Path, _login: dict[str, Any]) -> tuple[Any, ...]:
    server: RedisServer = request.getfixturevalue("redis")
    key = f"PHPREDIS_SESSION:{ID}"
    options = {"store": "redis", "servers": [server.address]}
    return options, lambda: server.client.set(key, "user|i:1;"), lambda: bool(server.client.exists(key))


def in_memcached(request: pytest.FixtureRequest, _folder: Path, _login: dict[str, Any]) -> tuple[Any, ...]:
    server: MemcachedServer = request.getfixturevalue("memcached")
    key = f"memc.sess.key.{ID}"
    options = {"store": "memcached", "servers": [server.address]}
    return options, lambda: server.client.set(key, "user|i:1;"), lambda: server.client.get(key) is not None


def in_couchdb(request: pytest.FixtureRequest, _folder: Path, _login: dict[str, Any]) -> tuple[Any, ...]:
    server: CouchDb = request.getfixturevalue("couchdb")
    server.request("DELETE", "/deployed")
    server.request("PUT", "/deployed")
    options = {"store": "couchdb", "url": server.url, "login_db": "deployed"}
    return (
        options,
        lambda: server.request("PUT", f"/deployed/{ID}", {"data": "user|i:1;", "createdAt": 1}),
        lambda: "error" not in server.request("GET", f"/deployed/{ID}"),
    )


STORES = {"files": in_files, "mysql": in_mysql, "redis": in_redis, "memcached": in_memcached, "couchdb": in_couchdb}


@pytest.fixture()
def shop(request: pytest.FixtureRequest, tmp_path: Path, mariadb: MariaDB, database: str) -> Shop:
    login = {**mariadb.login, "login_db": database}
    options, log_in, is_logged_in = STORES[request.param](request, tmp_path, login)
    shop = Shop(tmp_path, login, options)
    shop.log_in, shop.is_logged_in = log_in, is_logged_in
    return shop


def tag(shop: Shop, how: str) -> str:
    """Tag the build, in one of the three ways; the reason that the status gives."""
    if how == "release":
        (shop.deltas / "1_plain.sql").write_text("CREATE TABLE t (id INT);\n")
        shop.variables["dbdeploy_drop_tags"] = [TAGS[how]]
        return TAGS[how]
    text = "-- @DROP-SESSIONS\nCREATE TABLE t (id INT);\n"
    if how == "truncation":
        text = "CREATE TABLE IF NOT EXISTS sessions (sess_id VARCHAR(64) PRIMARY KEY);\nTRUNCATE sessions;\n"
    (shop.deltas / f"1_{TAGS[how]}").write_text(text)
    return f"1_{TAGS[how]}"


@pytest.mark.parametrize(
    ("shop", "how"),
    [
        ("files", "delta"), ("mysql", "delta"), ("redis", "release"), ("memcached", "truncation"), ("couchdb", "delta"),
    ],
    indirect=["shop"],
)  # fmt: skip
def test_a_deploy_that_is_killed_in_front_of_the_drop_drops_in_its_next_run(shop: Shop, how: str) -> None:
    reason = tag(shop, how)
    shop.log_in()
    shop.deploy(cut_at="session_purge")
    assert (shop.is_logged_in(), shop.due()) == (True, [reason])
    shop.deploy()
    assert (shop.is_logged_in(), shop.due()) == (False, [])


@pytest.mark.parametrize("shop", ["redis"], indirect=True)
def test_a_drop_is_due_until_it_is_marked_as_done_and_then_no_more(shop: Shop) -> None:
    reason = tag(shop, "delta")
    shop.log_in()
    shop.deploy(cut_at="dbdeploy sessions_dropped")
    assert (shop.is_logged_in(), shop.due()) == (False, [reason])
    shop.log_in()  # as a request in flight might have
    shop.deploy()
    assert (shop.is_logged_in(), shop.due()) == (False, [])
    shop.log_in()
    (shop.deltas / "2_minor.sql").write_text("ALTER TABLE changelog COMMENT 'a release without a tag';\n")
    assert "changed=1" in shop.deploy()
    assert shop.is_logged_in()


@pytest.mark.parametrize("shop", ["files", "mysql"], indirect=True)
def test_a_session_that_is_to_be_kept_lives_through_the_drop_and_no_other_does(shop: Shop) -> None:
    tag(shop, "delta")
    shop.variables |= {"session_purge_keep_ids": ["administrator"], "session_purge_on_lock": "swap"}
    shop.log_in()
    shop.log_in("administrator")
    shop.deploy()
    assert (shop.is_logged_in(), shop.is_logged_in("administrator"), shop.due()) == (False, True, [])


@pytest.mark.parametrize("store", ["files", "redis"])
def test_a_deploy_that_is_killed_between_the_purges_of_two_hosts_drops_on_both(
    tmp_path: Path, mariadb: MariaDB, database: str, store: str
) -> None:
    with RedisServer() as one, RedisServer() as other:
        options: dict[str, Any] = {
            "store": store,
            "save_path": f"{tmp_path}/{{{{ inventory_hostname }}}}",
            "servers": [f"0.0.0.0:{{{{ {{'web1': {one.port}, 'web2': {other.port}}}[inventory_hostname] }}}}"],
        }
        servers = {"web1": one.client, "web2": other.client}
        for host, client in servers.items():
            (tmp_path / host).mkdir()
            (tmp_path / host / f"sess_{ID}").touch()
            client.set(f"PHPREDIS_SESSION:{ID}", "user|i:1;")

        def left() -> list[str]:
            if store == "redis":
                return [host for host, client in servers.items() if client.dbsize()]
            return [host for host in servers if any((tmp_path / host).iterdir())]

        shop = Shop(tmp_path, {**mariadb.login, "login_db": database}, options)
        shop.hosts = "web1,web2,"
        reason = tag(shop, "delta")
        shop.deploy(cut_at="session_purge on web2")
        assert (left(), shop.due()) == (["web2"], [reason])
        shop.deploy()
        assert (left(), shop.due()) == ([], [])
