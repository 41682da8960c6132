# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Web sites of PHP's own server with the handlers in front, on real databases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import pytest
import requests

from tests.support.modules import BIN, COLLECTIONS
from tests.support.servers.base import wait_until
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.php import PhpServer
from tests.support.servers.session_store import ENTRY, create_tables, mysql_settings, write_settings

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
if (isset($_GET['gc'])) { $gone = session_gc(); }
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
if (isset($gone)) { $seen['gc'] = $gone; }
echo json_encode(['session' => $seen, 'id' => session_id()]);
"""


class Site:
    """A web server with the handler in front, and the clients of one session."""

    def __init__(self, server: PhpServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.browser = requests.Session()
        self.pool = ThreadPoolExecutor(8)

    def get(self, **query: str) -> dict[str, Any]:
        """The page's answer, which must be its JSON and nothing else."""
        answer = requests.get(self.server.url, query, cookies=self.browser.cookies, timeout=60)
        self.browser.cookies.update(answer.cookies)
        return dict(answer.json())

    def visitor(self, **query: str) -> dict[str, Any]:
        """The page's answer to somebody who has no cookie yet."""
        return dict(requests.get(self.server.url, query, timeout=60).json())

    def session(self, **query: str) -> Any:
        """The variables of the session as the page sees them."""
        return self.get(**query)["session"]

    def present(self, identity: str) -> None:
        """Go on with this session's cookie."""
        self.browser.cookies.clear()
        self.browser.cookies.set("PHPSESSID", identity)

    def run(self, code: str) -> str:
        """What a page of this code answers."""
        (self.folder / "public" / "page.php").write_text(f"<?php\n{code}")
        answer = requests.get(f"{self.server.url}/page.php", cookies=self.browser.cookies, timeout=60)
        self.browser.cookies.update(answer.cookies)
        return answer.text

    def during(self, page: str = "", **query: str) -> Callable[[], Any]:
        """A request that is held at its end while others run; call what this returns to let it go on."""
        flag = self.folder / "held"
        url = f"{self.server.url}/{page}?{urlencode({**query, 'wait': str(flag)})}"
        future: Future[requests.Response] = self.pool.submit(
            requests.get, url, cookies=dict(self.browser.cookies), timeout=60
        )
        wait_until(flag.exists, "the request")

        def release() -> Any:
            flag.unlink()
            return future.result().json()

        return release

    @property
    def errors(self) -> str:
        """What PHP logged."""
        log = self.folder / "php.log"
        return log.read_text() if log.exists() else ""


class Start(Protocol):
    """``start(handler="mysql", locking="row")``; more settings as in session.php's configuration."""

    def __call__(self, handler: str, **settings: Any) -> Site: ...


def run_role(folder: Path, entry: str, **variables: Any) -> str:
    """Run an entry point of the role against this machine; what Ansible printed."""
    play = {
        "hosts": "localhost", "connection": "local", "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable, **variables},
        "tasks": [{"ansible.builtin.include_role": {"name": "lamp.cluster.session_store", "tasks_from": entry}}],
    }  # fmt: skip
    path = folder / f"{entry}.yml"
    path.write_text(json.dumps([play]))
    done = subprocess.run(
        [str(BIN / "ansible-playbook"), "-i", "localhost,", str(path)], capture_output=True, text=True, check=False,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_NOCOLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture()
def serve(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Start web servers with the given settings and php.ini."""
    with ExitStack() as stack:

        def start(settings: dict[str, Any], entry: Path = ENTRY, **ini: str) -> Site:
            folder = tmp_path / f"site{len(list(tmp_path.iterdir()))}"
            (folder / "public").mkdir(parents=True)
            write_settings(folder / "config.php", settings)
            (folder / "public" / "index.php").write_text(PAGE)
            options = {
                "auto_prepend_file": str(entry), "session.use_strict_mode": "1", "display_errors": "1",
                "html_errors": "0", "log_errors": "1", "error_log": str(folder / "php.log"), **ini,
            }  # fmt: skip
            environment = {"LAMP_SESSION_CONFIG": str(folder / "config.php"), "PHP_CLI_SERVER_WORKERS": "6"}
            server = PhpServer(folder / "public", options, environment)
            stack.enter_context(server)
            return Site(server, folder)

        yield start


@pytest.fixture()
def site(request: pytest.FixtureRequest, serve: Callable[..., Site]) -> Start:
    """Start a web server with one of the handlers, on an empty store."""

    def start(handler: str, **settings: Any) -> Site:
        if handler == "couchdb":
            server: CouchDb = request.getfixturevalue("couchdb")
            server.drop("phpsessid")
            return serve({"handler": handler, "servers": [{"host": "127.0.0.1", "port": server.port}], **settings})
        mariadb: MariaDB = request.getfixturevalue("mariadb")
        database: str = request.getfixturevalue("database")
        create_tables(mariadb, database)
        return serve(mysql_settings(mariadb, database, handler=handler, **settings))

    return start
