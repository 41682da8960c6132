# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application that nobody wrote for these handlers: Debian's phpMyAdmin, from login to logout."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.support.debian import unpacked
from tests.support.modules import ROOT
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.php import PhpServer
from tests.support.servers.session_store import ENTRY, create_tables, mysql_settings, write_settings

CACHE = ROOT / ".cache" / "phpmyadmin"
KEPT = ("share/php", "share/phpmyadmin")
CONFIG = """<?php
$cfg['blowfish_secret'] = str_repeat('secret--', 4);
$cfg['Servers'][1] = ['host' => '127.0.0.1', 'port' => '%d', 'auth_type' => 'cookie'];
$cfg['TempDir'] = '%s';
"""


class PhpMyAdmin:
    """Its pages as a browser sees them."""

    def __init__(self, server: PhpServer) -> None:
        self.url = f"{server.url}/index.php"
        self.browser = requests.Session()
        self.page = self.browser.get(self.url, timeout=60).text

    def post(self, route: str, **fields: str) -> requests.Response:
        """Send a form with the token of the session, without which phpMyAdmin takes nothing."""
        token = re.findall(r'name="token" value="([^"]+)"|token:"([^"]+)"', self.page)[0]
        form = {"token": "".join(token).encode().decode("unicode_escape"), "server": "1", **fields}
        return self.browser.post(self.url, data=form, params={"route": route}, timeout=60)

    def login(self, password: str) -> None:
        """By the form of its first page."""
        session = re.findall(r'name="set_session" value="([^"]+)"', self.page)[0]
        self.page = self.post("/", pma_username="root", pma_password=password, set_session=session).text

    @property
    def logged_in(self) -> bool:
        return 'name="pma_password"' not in self.page and 'id="pma_navigation"' in self.page


@pytest.fixture()
def start(
    request: pytest.FixtureRequest, mariadb: MariaDB, database: str, tmp_path: Path
) -> Iterator[Callable[[str], PhpMyAdmin]]:
    packages = unpacked(CACHE, "bookworm", ("phpmyadmin",), KEPT)
    documents = tmp_path / "phpmyadmin"
    shutil.copytree(
        packages / "share" / "phpmyadmin", documents, symlinks=True, ignore=shutil.ignore_patterns("locale")
    )
    vendor = documents / "libraries" / "vendor_config.php"
    vendor.write_text(vendor.read_text().replace("'/etc/phpmyadmin/config.inc.php'", f"'{tmp_path}/config.inc.php'"))
    (tmp_path / "config.inc.php").write_text(CONFIG % (mariadb.port, tmp_path))
    servers = []

    def started(handler: str) -> PhpMyAdmin:
        settings = mysql_settings(mariadb, database, handler=handler)
        if handler == "couchdb":
            couchdb: CouchDb = request.getfixturevalue("couchdb")
            settings = {"handler": handler, "servers": [{"host": "127.0.0.1", "port": couchdb.port}]}
        else:
            create_tables(mariadb, database)
        write_settings(tmp_path / "session.php", settings)
        ini = {
            "auto_prepend_file": str(ENTRY), "include_path": f".:{packages / 'share' / 'php'}",
            "log_errors": "1", "error_log": str(tmp_path / "php.log"),
        }  # fmt: skip
        server = PhpServer(documents, ini, {"LAMP_SESSION_CONFIG": str(tmp_path / "session.php")})
        servers.append(server)
        server.__enter__()
        return PhpMyAdmin(server)

    yield started
    for server in servers:
        server.__exit__()


@pytest.mark.parametrize("handler", ["mysql", "mysql_variable", "couchdb"])
def test_phpmyadmin_works(start: Callable[[str], PhpMyAdmin], handler: str, mariadb: MariaDB, tmp_path: Path) -> None:
    admin = start(handler)
    assert not admin.logged_in
    admin.login("wrong")
    assert not admin.logged_in
    admin.login(mariadb.password)
    assert admin.logged_in
    answer = admin.post("/sql", db="mysql", sql_query="SELECT 6 * 7 AS answer", ajax_request="1").json()
    assert answer["success"]
    assert ">42<" in re.sub(r"\s+", "", answer["message"])
    admin.page = admin.browser.get(admin.url, timeout=60).text
    assert admin.logged_in
    admin.page = admin.post("/logout").text
    assert not admin.logged_in
    log = tmp_path / "php.log"
    assert "lamp.cluster" not in (log.read_text() if log.exists() else "")
