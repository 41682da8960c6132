# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of one session that meet: one row per variable, locks, logout, purge and new ids in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import pytest
import requests

from tests.support.modules import ROOT
from tests.support.servers.base import wait_until
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.php import PhpServer

ROLE = ROOT / "roles" / "session_store" / "files"
PAGE = """<?php
class Box { public $content; function __wakeup() { $GLOBALS['woken'] = ($GLOBALS['woken'] ?? 0) + 1; } }
session_start();
foreach ($_GET['set'] ?? [] as $name => $value) { $_SESSION[$name] = $value; }
foreach ($_GET['unset'] ?? [] as $name) { unset($_SESSION[$name]); }
if (isset($_GET['count'])) { $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1; }
if (isset($_GET['objects'])) {
  $box = new Box; $box->content = [$box]; $_SESSION['box'] = $box;
  $list = [1]; $list[] = &$list[0]; $_SESSION['list'] = $list;
}
if (isset($_GET['bytes'])) {
  $_SESSION['bytes'] = str_repeat(implode('', array_map('chr', range(0, 255))), (int) $_GET['bytes']);
}
if (isset($_GET['wait'])) {
  touch($_GET['wait']);
  while (file_exists($_GET['wait'])) { usleep(5000); clearstatcache(); }
}
if (isset($_GET['destroy'])) { session_destroy(); }
if (isset($_GET['renew'])) { session_regenerate_id(true); }
$seen = $_SESSION;
if (isset($seen['box'])) { $seen['box'] = $seen['box']->content[0] === $seen['box'] ? 'same' : 'other'; }
if (isset($seen['list'])) { $seen['list'][0] = 7; }
if (isset($seen['bytes'])) { $seen['bytes'] = [strlen($seen['bytes']), md5($seen['bytes'])]; }
header('Content-Type: application/json');
echo json_encode(['session' => $seen, 'id' => session_id()]);
"""


class Site:
    """Web servers with the handler in front, and the clients of one session."""

    def __init__(self, server: PhpServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.browser = requests.Session()
        self.pool = ThreadPoolExecutor(8)

    def get(self, **query: str) -> dict[str, Any]:
        answer = requests.get(self.server.url, query, cookies=self.browser.cookies, timeout=60)
        self.browser.cookies.update(answer.cookies)
        return dict(answer.json())

    def session(self, **query: str) -> Any:
        return self.get(**query)["session"]

    def during(self, **query: str) -> Any:
        """A request that is held while the block runs; call what this returns to let it end."""
        flag = self.folder / "held"
        url = f"{self.server.url}?{urlencode({**query, 'wait': str(flag)})}"
        future = self.pool.submit(requests.get, url, cookies=dict(self.browser.cookies), timeout=60)
        wait_until(flag.exists, "the request")

        def release() -> Any:
            flag.unlink()
            return future.result().json()

        return release

    @property
    def errors(self) -> str:
        log = self.folder / "php.log"
        return log.read_text() if log.exists() else ""


class Start(Protocol):
    def __call__(self, **settings: Any) -> Site: ...


@pytest.fixture()
def site(mariadb: MariaDB, database: str, tmp_path: Path) -> Iterator[Start]:
    for delta in sorted((ROLE / "deltas").glob("*.sql")):
        assert mariadb.client(delta.read_text().split("-- //@UNDO")[0], database).returncode == 0
    with ExitStack() as stack:

        def start(**settings: Any) -> Site:
            values = {
                "servers": [{"host": "127.0.0.1", "port": mariadb.port}], "database": database,
                "user": "root", "password": mariadb.password, **settings,
            }  # fmt: skip
            (tmp_path / "config.php").write_text(f"<?php return json_decode('{json.dumps(values)}', true);")
            documents = tmp_path / "public"
            documents.mkdir(exist_ok=True)
            (documents / "index.php").write_text(PAGE)
            ini = {
                "auto_prepend_file": str(ROLE / "php" / "session.php"), "session.use_strict_mode": "1",
                "display_errors": "1", "log_errors": "1", "error_log": str(tmp_path / "php.log"),
            }  # fmt: skip
            environment = {"LAMP_SESSION_CONFIG": str(tmp_path / "config.php"), "PHP_CLI_SERVER_WORKERS": "6"}
            server = PhpServer(documents, ini, environment)
            stack.enter_context(server)
            return Site(server, tmp_path)

        yield start


def test_concurrent_requests_keep_what_each_changed(site: Start) -> None:
    shop = site(handler="mysql_variable")
    shop.get(**{"set[a]": "0", "set[b]": "0", "set[c]": "0"})
    held = shop.during(**{"set[a]": "1", "unset[]": "c"})
    assert shop.session(**{"set[b]": "2", "set[d]": "3"}) == {"a": "0", "b": "2", "c": "0", "d": "3"}
    held()
    assert shop.session() == {"a": "1", "b": "2", "d": "3"}
    assert shop.errors == ""


def test_of_two_writes_to_one_variable_the_last_commit_stays(site: Start) -> None:
    shop = site(handler="mysql_variable")
    shop.get(**{"set[a]": "0"})
    held = shop.during(**{"set[a]": "started first"})
    shop.get(**{"set[a]": "ended first"})
    held()
    assert shop.session() == {"a": "started first"}


@pytest.mark.parametrize("name", ["", "'; DROP TABLE lamp_session; -- ", "a|b", "\x01\u20ac\U0001f4a1", "7", "x" * 300])
def test_hostile_names_and_values(site: Start, name: str) -> None:
    shop = site(handler="mysql_variable")
    value = name + "\"'\\`%_;"
    shop.get(**{f"set[{name}]": value, "set[b]": "1"})
    seen = shop.session(**{"set[b]": "1"})
    assert sorted(seen.values() if isinstance(seen, dict) else seen) == sorted([value, "1"])
    assert shop.errors == ""


@pytest.mark.parametrize("handler", ["mysql", "mysql_variable"])
def test_objects_references_and_bytes(site: Start, handler: str) -> None:
    shop = site(handler=handler)
    shop.get(objects="1", bytes="8")
    for _ in range(2):
        seen = shop.session(count="1")
        assert seen["box"] == "same"
        assert seen["list"] == [7, 7], "the reference inside of a variable lives"
        assert seen["bytes"][0] == 2048
    assert seen["count"] == 2
    assert shop.errors == ""


@pytest.mark.parametrize("handler", ["mysql", "mysql_variable"])
def test_a_session_that_was_ended_meanwhile_stays_ended(
    site: Start, handler: str, mariadb: MariaDB, database: str
) -> None:
    shop = site(handler=handler)
    shop.get(**{"set[user]": "demo"})
    held = shop.during(**{"set[a]": "1"})
    shop.get(destroy="1")
    held()
    assert shop.session() == []
    assert mariadb.query("SELECT COUNT(*) FROM lamp_session_variable", database=database) == [(0,)]
    assert shop.errors == ""


@pytest.mark.parametrize("handler", ["mysql", "mysql_variable"])
@pytest.mark.parametrize("renew", [{}, {"renew": "1"}])
def test_no_request_in_flight_survives_a_purge(
    site: Start, handler: str, renew: dict[str, str], mariadb: MariaDB, database: str
) -> None:
    shop = site(handler=handler)
    shop.get(**{"set[user]": "demo"})
    held = shop.during(**{"set[a]": "1"}, **renew)
    mariadb.query("UPDATE lamp_session_epoch SET epoch = epoch + 1", database=database)
    shop.browser.cookies.set("PHPSESSID", held()["id"])
    assert shop.session() == []


@pytest.mark.parametrize("locking", ["advisory", "row"])
def test_locks_lose_no_count(site: Start, locking: str) -> None:
    shop = site(handler="mysql", locking=locking)
    shop.get(count="1")
    list(shop.pool.map(lambda _: shop.get(count="1"), range(12)))
    assert shop.session(count="1") == {"count": 14}
    assert shop.errors == ""


@pytest.mark.parametrize("locking", ["advisory", "row"])
def test_the_wait_for_a_lock_is_bounded(site: Start, locking: str) -> None:
    shop = site(handler="mysql", locking=locking, lock_timeout=1)
    shop.get(count="1")
    held = shop.during(count="1")
    assert shop.session(count="1") == {"count": 1}, "read nothing, and so writes nothing"
    held()
    assert shop.session() == {"count": 2}
    assert "could not read a session" in shop.errors


def test_gc_leaves_no_variable_of_an_expired_session(site: Start, mariadb: MariaDB, database: str) -> None:
    shop = site(handler="mysql_variable")
    shop.get(**{"set[a]": "1"})
    mariadb.query("UPDATE lamp_session SET expires_at = 1", database=database)
    (shop.folder / "public" / "gc.php").write_text("<?php session_start(); echo session_gc();")
    assert requests.get(f"{shop.server.url}/gc.php", timeout=30).text == "1"
    assert mariadb.query("SELECT COUNT(*) FROM lamp_session_variable", database=database) == [(0,)]
    assert shop.session() == []


@pytest.mark.parametrize("handler", ["mysql", "mysql_variable"])
def test_almost_sixteen_mebibytes_need_a_packet_that_holds_them(
    site: Start, handler: str, mariadb: MariaDB, database: str
) -> None:
    size = 65535  # times 256 bytes: with its name less than 16 MiB
    before = mariadb.query("SELECT @@GLOBAL.max_allowed_packet")[0][0]
    shop = site(handler=handler)
    try:
        mariadb.query("SET GLOBAL max_allowed_packet = 1048576")
        shop.get(**{"set[a]": "1"})
        shop.get(bytes=str(size))
        assert "max_allowed_packet" in shop.errors
        assert shop.session() == {"a": "1"}, "what did not fit left the session as it was"
        mariadb.query("SET GLOBAL max_allowed_packet = 33554432")
        shop.get(bytes=str(size))
        assert shop.session()["bytes"][0] == size * 256
    finally:
        mariadb.query(f"SET GLOBAL max_allowed_packet = {before}")
