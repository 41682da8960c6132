# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each release of the demo application runs on the schema that its deltas make, and only there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.support.modules import ROOT
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.php import PhpServer

DEMO = ROOT / "molecule" / "demo_app"
UNDO = re.compile(r"^--\s*(?://)?@UNDO\s*$", re.IGNORECASE | re.MULTILINE)


class Shop:
    """The database of one shop and the web servers of its releases."""

    def __init__(self, mariadb: MariaDB, database: str, config: Path, stack: ExitStack) -> None:
        self.mariadb, self.database, self.config, self.stack = mariadb, database, config, stack

    def deltas(self, release: str) -> list[Path]:
        return sorted((DEMO / release / "db" / "deltas").glob("*.sql"))

    def client(self, sql: str) -> None:
        # A delimiter that never comes: the server itself then splits the statements, bodies of procedures included.
        answer = self.mariadb.client(f"DELIMITER //never//\n{sql}\n//never//\n", self.database)
        assert answer.returncode == 0, answer.stderr

    def apply(self, release: str, since: int = 0) -> None:
        for delta in self.deltas(release)[since:]:
            self.client(UNDO.split(delta.read_text())[0])

    def undo(self, release: str, down_to: int = 0) -> None:
        for delta in reversed(self.deltas(release)[down_to:]):
            self.client(UNDO.split(delta.read_text())[1])

    def serve(self, release: str) -> str:
        server = PhpServer(DEMO / release / "public", environment={"SHOP_CONFIG": str(self.config)})
        self.stack.enter_context(server)
        return server.url


@pytest.fixture()
def shop(mariadb: MariaDB, database: str, tmp_path: Path) -> Iterator[Shop]:
    config = tmp_path / "config.php"
    settings = {
        "db_host": "127.0.0.1",
        "db_port": mariadb.port,
        "db_name": database,
        "db_user": "root",
        "db_password": mariadb.password,
    }
    config.write_text(f"<?php return json_decode('{json.dumps(settings)}', true);")
    with ExitStack() as stack:
        yield Shop(mariadb, database, config, stack)


@pytest.mark.parametrize("release", ["v1", "v2", "v3"])
def test_a_user_logs_in_and_counts(shop: Shop, release: str) -> None:
    shop.apply(release)
    url = shop.serve(release)
    browser = requests.Session()
    page = browser.get(f"{url}/", timeout=10)
    assert page.status_code == 200
    assert page.headers["X-Release"] == release
    assert page.headers["X-Host"]
    assert "Lava lamp &lt;orange&gt;" in page.text
    assert "24.50 €" in page.text
    assert "You are not logged in" in page.text
    wrong = browser.post(f"{url}/login.php", {"user": "demo", "password": "' OR 1=1 -- "}, timeout=10)
    assert wrong.status_code == 401
    before = browser.cookies["PHPSESSID"]
    page = browser.post(f"{url}/login.php", {"user": "demo", "password": "demo"}, timeout=10)
    assert browser.cookies["PHPSESSID"] != before, "a login must give the session a new id"
    assert re.search(r"Logged in as <b>demo</b>", page.text)
    first, second = (browser.get(f"{url}/count.php", timeout=10).json() for _ in range(2))
    assert second == {"user": "demo", "count": first["count"] + 1, "host": page.headers["X-Host"], "release": release}
    page = browser.post(f"{url}/logout.php", timeout=10)
    assert "You are not logged in" in page.text


def test_old_code_fails_on_the_new_schema_and_new_code_on_the_old(shop: Shop) -> None:
    shop.apply("v1")
    v1, v2 = shop.serve("v1"), shop.serve("v2")
    answer = requests.get(f"{v2}/", timeout=10)
    assert (answer.status_code, answer.headers["X-Release"]) == (500, "v2")
    assert "price" not in answer.text, "the cause belongs in the log"
    shop.apply("v2", since=2)
    assert requests.get(f"{v2}/", timeout=10).status_code == 200
    assert requests.get(f"{v1}/", timeout=10).status_code == 500
    shop.undo("v2", down_to=2)
    assert "129.00 €" in requests.get(f"{v1}/", timeout=10).text
    assert requests.get(f"{v2}/", timeout=10).status_code == 500


def test_all_deltas_can_be_undone(shop: Shop) -> None:
    shop.apply("v2")
    shop.client("CALL discount(50)")
    assert shop.mariadb.query("SELECT MIN(price_cents) FROM product", database=shop.database) == [(998,)]
    shop.undo("v2")
    assert shop.mariadb.query("SHOW TABLES", database=shop.database) == []


def test_v3_brings_no_delta_and_searches(shop: Shop) -> None:
    assert [delta.name for delta in shop.deltas("v3")] == [delta.name for delta in shop.deltas("v2")]
    shop.apply("v3")
    page = requests.get(f"{shop.serve('v3')}/", params={"q": "<orange>"}, timeout=10).text
    assert "Lava lamp" in page
    assert "Desk lamp" not in page
    assert 'value="&lt;orange&gt;"' in page


@pytest.mark.parametrize("release", ["v1", "v2", "v3"])
def test_health_needs_no_database_and_names_the_release_folder(release: str, shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "releases").mkdir()
    (tmp_path / "releases" / "0123456789ab").symlink_to(DEMO / release)
    (tmp_path / "current").symlink_to(tmp_path / "releases" / "0123456789ab")
    server = shop.stack.enter_context(PhpServer(tmp_path / "current" / "public"))
    answer = requests.get(f"{server.url}/health.php", timeout=10)
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["version"]) == ("ok", release)
    assert answer.json()["release"] == release, "the folder's real name, whatever links lead to it"
    assert "Set-Cookie" not in answer.headers


def test_each_delta_but_v2s_last_is_untagged(shop: Shop) -> None:
    tagged = [delta.name for delta in shop.deltas("v3") if "@DROP-SESSIONS" in delta.read_text()]
    assert tagged == ["005_add_role.sql"]
