# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application of Symfony's on two hosts, with the handler as docs/session-store.md tells to give it one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import requests

from tests.support.debian import unpacked
from tests.support.modules import ROOT
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.php import PhpServer
from tests.support.servers.session_store import ENTRY, create_tables, mysql_settings, write_settings

PACKAGES = ("php-symfony-framework-bundle", "php-symfony-yaml", "composer")
CONFIG = "/etc/lamp.cluster/session.php"


def as_documented(application: Path, settings: Path) -> None:
    """Write what the page tells to write; only where the settings lie is another place in a test."""
    page = (ROOT / "docs" / "session-store.md").read_text()
    for name, code in re.findall(r"```(?:php|yaml)\n(?:// |# )(\S+)\n(.*?)```", page, re.DOTALL):
        place = application / name.replace("config/packages/", "config/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(("<?php\n" if name.endswith(".php") else "") + code.replace(CONFIG, str(settings)))


@pytest.mark.parametrize("handler", ["mysql", "mysql_variable"])
def test_users_of_symfony_are_logged_in_on_each_host(
    handler: str, mariadb: MariaDB, database: str, tmp_path: Path
) -> None:
    symfony = unpacked(ROOT / ".cache" / "symfony", "trixie", PACKAGES, ("share/php",))
    create_tables(mariadb, database)
    write_settings(tmp_path / "session.php", mysql_settings(mariadb, database, handler=handler))
    as_documented(tmp_path, tmp_path / "session.php")
    (tmp_path / "public").mkdir()
    shutil.copy(Path(__file__).parent / "symfony" / "index.php", tmp_path / "public")
    ini = {
        "auto_prepend_file": str(ENTRY), "include_path": f".:{symfony / 'share' / 'php'}",
        "log_errors": "1", "error_log": str(tmp_path / "php.log"),
    }  # fmt: skip
    variables = {"LAMP_SESSION_CONFIG": str(tmp_path / "session.php")}
    browser = requests.Session()
    with PhpServer(tmp_path / "public", ini, variables) as one, PhpServer(tmp_path / "public", ini, variables) as other:

        def ask(server: PhpServer, path: str) -> object:
            answer = browser.get(f"{server.url}/index.php/{path}", timeout=60)
            assert answer.status_code == 200, (tmp_path / "php.log").read_text()
            return answer.json()

        assert ask(one, "count") == {"user": None, "count": 1}
        before = browser.cookies["PHPSESSID"]
        ask(other, "login?user=ada")
        logged_in = browser.cookies["PHPSESSID"]
        assert [ask(server, "count") for server in (one, other)] == [
            {"user": "ada", "count": 2}, {"user": "ada", "count": 3},
        ]  # fmt: skip
        assert ask(one, "logout") == {"was": "ada"}
        assert ask(other, "count") == {"user": None, "count": 1}
    for left in (before, logged_in):
        assert not mariadb.query("SELECT 1 FROM lamp_session WHERE id = UNHEX(SHA2(%s, 256))", (left,), database)
    log = tmp_path / "php.log"
    assert not log.exists() or log.read_text() == ""
