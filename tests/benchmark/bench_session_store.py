# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions: reading and writing, and requests of one session at once."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import requests

from tests.benchmark.table import Headline, Table
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.php import PhpServer
from tests.support.servers.redis import RedisServer
from tests.support.servers.session_store import ENTRY, create_tables, mysql_settings, write_settings

REQUESTS = 20
AT_ONCE = 8
SIZES = {"1 KiB": 1 << 10, "64 KiB": 1 << 16, "1 MiB": 1 << 20}
TOGETHER = "requests at once"
HEADLINES = (
    Headline(
        f"{AT_ONCE} requests of one session at once, 200 ms each, a row per variable",
        TOGETHER, "eight, MysqlVariableSessionHandler", ("one request, PHP's files", "eight, PHP's files"),
    ),
    Headline(
        "A session of 64 KiB read and written, a row per session",
        "read and write 64 KiB", "MysqlSessionHandler", ("PHP's files", "phpredis"),
    ),
)  # fmt: skip
# What a request of an application does; it tells how long the session's part of it took.
WORK = """<?php
$begin = hrtime(true);
session_start();
if (isset($_GET['size'])) {
  for ($n = 0; $n < 16; $n++) { $_SESSION["v$n"] = random_bytes((int) ($_GET['size'] / 16)); }
}
$_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
session_write_close();
echo json_encode([(hrtime(true) - $begin) / 1e9, $_SESSION['count']]);
"""
PAGE = "<?php session_start(); $_SESSION['v' . $_GET['n']] = microtime(true); usleep(200000); echo count($_SESSION);"


def sites(stack: ExitStack, folder: Path) -> dict[str, list[str]]:
    """The addresses of PHP servers per handler, as many as there are requests at once: each does one at a time."""
    mariadb = stack.enter_context(MariaDB("--max-allowed-packet=32M", "--innodb-log-file-size=96M"))
    redis = stack.enter_context(RedisServer())
    couchdb = stack.enter_context(CouchDb())
    mariadb.query("CREATE DATABASE bench")
    create_tables(mariadb, "bench")
    for name in ("public", "sessions"):
        (folder / name).mkdir()
    (folder / "public" / "work.php").write_text(WORK)
    (folder / "public" / "index.php").write_text(PAGE)
    settings = {
        "MysqlSessionHandler": mysql_settings(mariadb, "bench", handler="mysql"),
        "MysqlVariableSessionHandler": mysql_settings(mariadb, "bench", handler="mysql_variable"),
        "CouchDbSessionHandler": {"handler": "couchdb", "servers": [{"host": "127.0.0.1", "port": couchdb.port}]},
    }
    peers = {
        "PHP's files": {"session.save_path": str(folder / "sessions")},
        "phpredis": {"session.save_handler": "redis", "session.save_path": f"tcp://127.0.0.1:{redis.port}"},
    }
    addresses = {}
    for name in [*peers, *settings]:
        config = folder / f"{name}.php"
        write_settings(config, settings.get(name, {}))
        ini = {"opcache.enable_cli": "1", "session.use_strict_mode": "1"}
        ini |= peers.get(name) or {"auto_prepend_file": str(ENTRY)}
        servers = [PhpServer(folder / "public", ini, {"LAMP_SESSION_CONFIG": str(config)}) for _ in range(AT_ONCE)]
        addresses[name] = [stack.enter_context(server).url for server in servers]
    return addresses


def read_and_write(url: str, cookies: dict[str, str]) -> float:
    """Seconds that a request spends on its session: the mean of some."""
    answers = [json.loads(requests.get(f"{url}/work.php", cookies=cookies, timeout=60).text) for _ in range(REQUESTS)]
    assert answers[-1][1] == answers[0][1] + REQUESTS - 1
    return sum(float(seconds) for seconds, _count in answers) / REQUESTS


def ask(url: str, cookies: dict[str, str], number: int) -> None:
    requests.get(url, {"n": str(number)}, cookies=cookies, timeout=60).raise_for_status()


def bench(table: Table) -> None:
    """Handlers of this collection, PHP's own and that of phpredis."""
    table.remarks += [
        "Reading and writing: what `session_start()`, the change of one variable of seventeen, and"
        f" `session_write_close()` take in a request, the mean of {REQUESTS} requests. All servers are on this machine,"
        " on loopback, and write without fsync; each request connects anew. CouchDB is PouchDB's server, in memory: not"
        " CouchDB's own speed.",
        "At once: requests of 200 ms of one session, each of which changes a variable of its own.",
    ]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as pool:
        addresses = sites(stack, Path(name))
        for title, size in SIZES.items():
            contestants: dict[str, Callable[[], float]] = {}
            for who, urls in addresses.items():
                cookies = requests.get(f"{urls[0]}/work.php", {"size": str(size)}, timeout=60).cookies.get_dict()
                contestants[who] = partial(read_and_write, urls[0], cookies)
            table.measure(f"read and write {title}", contestants)
        together: dict[str, Callable[[], None]] = {}
        for who, urls in addresses.items():
            cookies = requests.get(urls[0], {"n": "0"}, timeout=60).cookies.get_dict()
            together.setdefault("one request, PHP's files", partial(ask, urls[0], cookies, 0))

            def all_of(urls: list[str] = urls, cookies: dict[str, str] = cookies) -> None:
                list(pool.map(lambda number: ask(urls[number], cookies, number), range(AT_ONCE)))

            together[f"eight, {who}"] = all_of
        table.measure(TOGETHER, together)
