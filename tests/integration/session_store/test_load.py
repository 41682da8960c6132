# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three web servers behind HAProxy's round robin, on a Galera cluster: every request counts, also while servers die."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.servers.galera import Galera
from tests.support.servers.haproxy import HAProxy
from tests.support.servers.php import PhpServer
from tests.support.servers.session_store import ENTRY, create_tables, mysql_settings, write_settings
from tests.support.traffic import Counters

CLIENTS, REQUESTS = 20, 50
WORKERS = 4  # of each web server: so many requests can be cut off by its death
PAGE = """<?php
session_start();
$_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
$answer = json_encode(['count' => $_SESSION['count'], 'host' => getenv('WEB_HOST')]);
header('Content-Length: ' . strlen($answer));
echo $answer;
"""
BALANCER = """
frontend http
  bind 127.0.0.1:{port}
  default_backend web
backend web
  balance roundrobin
  retries 5
  option redispatch 1
  retry-on conn-failure empty-response
"""


class Web:
    """The web servers and their load balancer; each handler starts with another node."""

    def __init__(self, hosts: list[PhpServer], url: str, logs: list[Path]) -> None:
        self.hosts, self.url, self.logs = hosts, url, logs

    @property
    def errors(self) -> str:
        """What PHP logged on all hosts."""
        return "".join(log.read_text() for log in self.logs if log.exists())


@pytest.fixture(params=["mysql", "mysql_variable"])
def web(request: pytest.FixtureRequest, galera: Galera, tmp_path: Path) -> Iterator[Web]:
    name = f"test_{secrets.token_hex(4)}"
    galera.nodes[0].query(f"CREATE DATABASE {name}")
    create_tables(galera.nodes[0], name)
    ports = [node.port for node in galera.nodes]
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "count.php").write_text(PAGE)
    hosts, logs = [], []
    with ExitStack() as stack:
        for number in range(3):
            folder = tmp_path / f"web{number + 1}"
            (folder / "marks").mkdir(parents=True)
            order = [*ports[number:], *ports[:number]]
            settings = mysql_settings(
                galera.nodes[0], name, handler=request.param, state_folder=str(folder / "marks"),
                servers=[{"host": "127.0.0.1", "port": port} for port in order],
            )  # fmt: skip
            write_settings(folder / "config.php", settings)
            ini = {
                "auto_prepend_file": str(ENTRY), "session.use_strict_mode": "1", "log_errors": "1",
                "error_log": str(folder / "php.log"),
            }  # fmt: skip
            variables = {
                "WEB_HOST": folder.name, "PHP_CLI_SERVER_WORKERS": str(WORKERS),
                "LAMP_SESSION_CONFIG": str(folder / "config.php"),
            }  # fmt: skip
            hosts.append(stack.enter_context(PhpServer(tmp_path / "public", ini, variables)))
            logs.append(folder / "php.log")
        lines = [f"  server web{number + 1} 127.0.0.1:{host.port}\n" for number, host in enumerate(hosts)]
        balancer = stack.enter_context(HAProxy(BALANCER + "".join(lines), checks=True))
        yield Web(hosts, f"http://127.0.0.1:{balancer.port}", logs)
    galera.nodes[0].query(f"DROP DATABASE {name}")


def test_a_thousand_requests_of_twenty_clients_lose_no_count(web: Web) -> None:
    with Counters(web.url, CLIENTS) as crowd:
        crowd.progress(REQUESTS)
    for user in crowd.users:
        assert (user.failures, user.cut_off) == ([], 0)
        assert user.counts == list(range(1, len(user.counts) + 1))
        assert user.hosts == {"web1", "web2", "web3"}
        assert len(user.jar) == 1
    assert web.errors == ""


def test_a_web_server_and_a_database_node_die_and_come_back(web: Web, galera: Galera) -> None:
    with Counters(web.url, CLIENTS) as crowd:
        crowd.progress()
        web.hosts[2].kill()
        galera.nodes[0].kill()
        crowd.progress()
        galera.rejoin(galera.nodes[0])
        web.hosts[2].start()
        crowd.progress(host="web3")
    seen = crowd.report()
    print(f"with a web server and a database node taken away: {seen}")
    assert [failure for user in crowd.users for failure in user.failures] == []
    assert (seen["lost"], seen["split"]) == (0, 0), seen
    assert seen["cut off"] <= WORKERS, seen
    assert web.errors == ""
