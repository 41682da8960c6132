# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Eight concurrent requests of 200 ms of one session, by handler.

Run: python -m tests.benchmark.session_store_concurrency
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from tests.support.modules import ROOT
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.php import PhpServer

ROLE = ROOT / "roles" / "session_store" / "files"
PAGE = "<?php session_start(); $_SESSION['v' . $_GET['n']] = microtime(true); usleep(200000); echo count($_SESSION);"
HANDLERS = ("files", "mysql", "mysql_variable")


def measure(url: str, pool: ThreadPoolExecutor) -> tuple[float, float]:
    """Seconds of one request and of eight at once."""
    cookies = requests.get(url, {"n": 0}, timeout=30).cookies.get_dict()

    def ask(number: int) -> str:
        return requests.get(url, {"n": number}, cookies=cookies, timeout=30).text

    start = time.monotonic()
    ask(0)
    middle = time.monotonic()
    list(pool.map(ask, range(8)))
    return middle - start, time.monotonic() - middle


def main() -> None:
    """Interleave the handlers and print medians of five rounds."""
    with tempfile.TemporaryDirectory() as name, MariaDB() as mariadb, ThreadPoolExecutor(8) as pool:
        folder = Path(name)
        assert isinstance(mariadb, MariaDB)
        mariadb.query("CREATE DATABASE bench")
        for delta in sorted((ROLE / "deltas").glob("*.sql")):
            assert mariadb.client(delta.read_text().split("-- //@UNDO")[0], "bench").returncode == 0
        (folder / "public").mkdir()
        (folder / "public" / "index.php").write_text(PAGE)
        servers: dict[str, PhpServer] = {}
        try:
            for handler in HANDLERS:
                settings = {
                    "handler": handler, "servers": [{"host": "127.0.0.1", "port": mariadb.port}], "database": "bench",
                    "user": "root", "password": mariadb.password,
                }  # fmt: skip
                config = folder / f"{handler}.php"
                config.write_text(f"<?php return json_decode('{json.dumps(settings)}', true);")
                ini = {} if handler == "files" else {"auto_prepend_file": str(ROLE / "php" / "session.php")}
                environment = {"LAMP_SESSION_CONFIG": str(config), "PHP_CLI_SERVER_WORKERS": "40"}
                server = PhpServer(folder / "public", ini, environment)
                server.__enter__()
                servers[handler] = server
            times: dict[str, list[tuple[float, float]]] = {handler: [] for handler in HANDLERS}
            for _round in range(5):
                for handler in HANDLERS:
                    times[handler].append(measure(servers[handler].url, pool))
        finally:
            for server in servers.values():
                server.__exit__()
    for handler, pairs in times.items():
        one, eight = (statistics.median(values) for values in zip(*pairs, strict=True))
        print(f"{handler:16} one {one * 1000:5.0f} ms, eight {eight * 1000:5.0f} ms, ratio {eight / one:.2f}")


if __name__ == "__main__":
    main()
