# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MysqlSessionHandler in a real PHP web server, on a real MariaDB."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.modules import ROOT
from tests.support.servers.base import Server, free_port, wait_until
from tests.support.servers.mariadb import MariaDB

ROLE = ROOT / "roles" / "session_store" / "files"
PAGE = """<?php
$before = headers_list();
session_start();
if (isset($_GET['set'])) { $_SESSION['v'] = $_GET['set']; }
if (isset($_GET['during'])) {
  touch($_GET['during']);
  while (file_exists($_GET['during'])) { usleep(10000); clearstatcache(); }
}
if (isset($_GET['destroy'])) { session_destroy(); }
header('Content-Type: application/json');
echo json_encode(['v' => $_SESSION['v'] ?? null, 'id' => session_id()]);
"""


class Php(Server):
    """``php -S`` with the handler put in front by auto_prepend_file."""

    name = "php"

    def __init__(self, server: MariaDB, database: str, ports: list[int]) -> None:
        super().__init__()
        settings = {
            "servers": [{"host": "127.0.0.1", "port": port} for port in ports],
            "database": database, "user": "root", "password": server.password,
        }  # fmt: skip
        (self.folder / "index.php").write_text(PAGE)
        (self.folder / "config.php").write_text(f"<?php return json_decode('{json.dumps(settings)}', true);")

    def command(self) -> list[str]:
        return [
            "env", f"LAMP_SESSION_CONFIG={self.folder / 'config.php'}", "PHP_CLI_SERVER_WORKERS=4",
            "php", "-d", f"auto_prepend_file={ROLE / 'php' / 'session.php'}", "-d", "session.use_strict_mode=1",
            "-d", "display_errors=1", "-d", "error_log=" + str(self.folder / "php.log"), "-d", "log_errors=1",
            "-S", f"127.0.0.1:{self.port}", "-t", str(self.folder),
        ]  # fmt: skip

    def get(self, query: str = "", cookie: str = "") -> dict[str, Any]:
        """The page's answer, which must be its JSON and nothing else."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/?{query}")
        if cookie:
            request.add_header("Cookie", f"PHPSESSID={cookie}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.loads(answer.read()))

    @property
    def errors(self) -> str:
        log = self.folder / "php.log"
        return log.read_text() if log.exists() else ""


@pytest.fixture()
def store(mariadb: MariaDB, database: str) -> str:
    script = (ROLE / "deltas" / "001_session.sql").read_text().partition("-- //@UNDO")[0]
    assert mariadb.client(script, database).returncode == 0
    return database


@pytest.fixture()
def php(mariadb: MariaDB, store: str) -> Iterator[Php]:
    with Php(mariadb, store, [free_port(), mariadb.port]) as server:  # the first database server is dead
        assert isinstance(server, Php)
        yield server


def test_a_session_is_kept_and_its_id_is_not_in_the_table(php: Php, mariadb: MariaDB, store: str) -> None:
    first = php.get("set=hello")
    assert php.get(cookie=first["id"]) == first
    rows = mariadb.query("SELECT id = UNHEX(SHA2(%s, 256)), data FROM lamp_session", (first["id"],), store)
    assert rows == [(1, b'v|s:5:"hello";')]
    php.get("destroy=1", cookie=first["id"])
    assert mariadb.query("SELECT COUNT(*) FROM lamp_session", database=store) == [(0,)]
    assert php.errors == ""


@pytest.mark.parametrize("cookie", ["x' OR '1'='1", "%27%3B--", "unknown", "a" * 300])
def test_an_id_that_was_never_given_is_not_taken(php: Php, cookie: str) -> None:
    answer = php.get("set=1", cookie=cookie)
    assert answer["id"] != cookie
    assert len(answer["id"]) == 32


def test_a_purge_cannot_be_undone_by_a_request_in_flight(
    php: Php, mariadb: MariaDB, store: str, tmp_path: Path
) -> None:
    session = php.get("set=old")["id"]
    gate = tmp_path / "gate"
    tmp_path.chmod(0o777)
    url = f"http://127.0.0.1:{php.port}/?set=late&during={gate}"
    slow = subprocess.Popen(["curl", "-s", "-b", f"PHPSESSID={session}", url], stdout=subprocess.PIPE)
    wait_until(gate.exists, "the slow request")
    mariadb.query("UPDATE lamp_session_epoch SET epoch = epoch + 1", database=store)
    mariadb.query("TRUNCATE lamp_session", database=store)
    gate.unlink()
    slow.communicate()
    assert php.get(cookie=session)["v"] is None


def test_a_dead_database_shows_nothing_and_is_logged(php: Php, mariadb: MariaDB, store: str) -> None:
    session = php.get("set=kept")["id"]
    mariadb.query("RENAME TABLE lamp_session TO away", database=store)
    assert php.get("set=lost", cookie=session)["v"] == "lost"
    assert "lamp.cluster: could not" in php.errors
    mariadb.query("RENAME TABLE away TO lamp_session", database=store)
    assert php.get(cookie=session)["v"] == "kept"


def test_sixteen_mebibytes_less_a_little_fit(php: Php, mariadb: MariaDB, store: str) -> None:
    size = 12 * 1024 * 1024
    mariadb.query("SET GLOBAL max_allowed_packet = 33554432")
    (php.folder / "large.php").write_text(
        f"<?php session_start(); $_SESSION['v'] = str_repeat('x', {size}); echo session_id();"
    )
    with urllib.request.urlopen(f"http://127.0.0.1:{php.port}/large.php", timeout=60) as answer:
        session = answer.read().decode()
    assert len(php.get(cookie=session)["v"]) == size
