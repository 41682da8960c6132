# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions purged: session_purge against the obvious command, in every store"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmark.table import Headline, Table, Timed
from tests.support.modules import COLLECTIONS, ROOT
from tests.support.purge import purge
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.memcached import MemcachedServer
from tests.support.servers.redis import RedisServer

SIZES = (10_000, 100_000, 1_000_000)
ROUNDS = 3
IDS = 26  # characters of an id
DATA = 500  # bytes of a session
EXACT, WINDOW, SWEEP = "session_purge", "session_purge, dedicated, in the window", "the same, swept after the window"
ROWS = "session_purge, in the window"
PAGE = 5000
FIND, SCAN = "find -delete", "redis-cli --scan, xargs unlink"
HEADLINES = (
    Headline(f"{SIZES[-1]:,} sessions in files ended, in the window", f"{SIZES[-1]:,} files", WINDOW, (FIND,)),
    Headline(
        f"{SIZES[-1]:,} rows of sessions ended, in the window", f"{SIZES[-1]:,} rows", ROWS, ("TRUNCATE", "DELETE")
    ),
    Headline(
        f"{SIZES[-1]:,} keys of Redis that share a database, exactly", f"{SIZES[-1]:,} keys of Redis", EXACT, (SCAN,)
    ),
)

FILL_REDIS = f"""
for number = ARGV[1], ARGV[2] do
  redis.call('SET', string.format('PHPREDIS_SESSION:%0{IDS}d', number), string.rep('x', {DATA}))
end
"""

MEMCACHED_PIPELINE = r"""
exec 3<>/dev/tcp/127.0.0.1/$PORT 4<>/dev/tcp/127.0.0.1/$PORT
printf 'lru_crawler metadump all\r\n' >&3
sed -n -e '/^END/q' -e 's/^key=\(memc\.sess\.key\.[^ ]*\) .*/delete \1 noreply\r/p' <&3 >&4
printf 'version\r\n' >&4
head -n 1 <&4 >/dev/null
"""


def timed(fill: Callable[[], None], action: Callable[[], object]) -> Timed:
    """Fill anew, then take the time of the action alone."""

    def run() -> float:
        fill()
        begin = time.perf_counter()
        action()
        return time.perf_counter() - begin

    return run


def shell(command: str, **environment: object) -> None:
    """Run a pipeline of commands."""
    variables = {name: str(value) for name, value in environment.items()}
    subprocess.run(
        ["bash", "-c", command], check=True, env={**os.environ, **variables}, stdout=subprocess.DEVNULL
    )  # fmt: skip


def file_system() -> str:
    """What kind of file system temporary files are on."""
    stat = ["stat", "--file-system", "--format", "%T", tempfile.gettempdir()]
    return subprocess.run(stat, capture_output=True, text=True, check=True).stdout.strip()


def peak(store: str, options: dict[str, Any]) -> int:
    """Mebibytes that a process needs at most that purges."""
    code = (
        "import re\nfrom tests.support.purge import purge\n"
        f"purge({store!r}, **{options!r})\n"
        "print(int(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]) // 1024)"
    )
    path = {**os.environ, "PYTHONPATH": f"{COLLECTIONS}:{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=path)
    return int(done.stdout)


def bench_files(table: Table, size: int) -> None:
    """``find -delete`` and the folder's exchange."""
    with tempfile.TemporaryDirectory() as root:
        store = Path(root, "sessions")
        options: dict[str, Any] = {"save_path": str(store)}

        def fill() -> None:
            shutil.rmtree(root)
            store.mkdir(parents=True)
            for number in range(size):
                with open(f"{store}/sess_{number:0{IDS}}", "wb") as stream:
                    stream.write(b"x" * DATA)

        def put_aside() -> None:
            fill()
            purge("files", **options, dedicated=True, leftovers="leave")

        table.measure(
            f"{size:,} files",
            {
                FIND: timed(fill, lambda: shell("find $D -name 'sess_*' -delete", D=store)),
                EXACT: timed(fill, lambda: purge("files", **options)),
                WINDOW: timed(fill, lambda: purge("files", **options, dedicated=True, leftovers="leave")),
                SWEEP: timed(put_aside, lambda: purge("files", **options, leftovers="only")),
            },
            rounds=ROUNDS if size < SIZES[1] else 1,
        )


def bench_mysql(table: Table, size: int, server: MariaDB) -> None:
    """``TRUNCATE`` by the client, and our own table in and after the window."""

    def sql(text: str) -> None:
        server.query(text, database="bench")

    def fill() -> None:
        sql("TRUNCATE TABLE lamp_session")
        sql(
            "INSERT INTO lamp_session SELECT UNHEX(SHA2(seq, 256)), REPEAT('x', 500), 1, 0, UNIX_TIMESTAMP(),"
            f" UNIX_TIMESTAMP() + 900 FROM seq_1_to_{size}"
        )

    options: dict[str, Any] = {**server.login, "login_db": "bench", "leftovers": "leave"}
    table.measure(
        f"{size:,} rows",
        {
            "TRUNCATE": timed(fill, lambda: sql("TRUNCATE TABLE lamp_session")),
            "DELETE": timed(fill, lambda: sql("DELETE FROM lamp_session")),
            ROWS: timed(fill, lambda: purge("mysql", **options)),
            "the same, 1 kept, by swap": timed(fill, lambda: purge("mysql", **options, on_lock="swap", keep_ids=["7"])),
            "the same, 1 kept, by DELETE": timed(fill, lambda: purge("mysql", **options, keep_ids=["7"])),
        },
        rounds=ROUNDS if size < SIZES[-1] else 1,
    )
    purge("mysql", **{**options, "leftovers": "only"})


def bench_redis(table: Table, size: int, server: RedisServer) -> None:
    """``redis-cli --scan`` into ``unlink``, and both ways of ours."""

    def fill() -> None:
        server.client.flushall()
        for first in range(1, size, PAGE):
            server.client.eval(FILL_REDIS, 0, first, first + PAGE - 1)

    port = server.port
    options: dict[str, Any] = {"servers": [server.address]}
    scan = f"redis-cli -p {port} --scan --pattern 'PHPREDIS_SESSION:*' | xargs redis-cli -p {port} unlink"
    table.measure(
        f"{size:,} keys of Redis",
        {
            SCAN: timed(fill, lambda: shell(scan)),
            EXACT: timed(fill, lambda: purge("redis", **options)),
            WINDOW: timed(fill, lambda: purge("redis", **options, dedicated=True)),
            "FLUSHDB": timed(fill, lambda: shell(f"redis-cli -p {port} flushdb sync")),
        },
        rounds=ROUNDS if size < SIZES[-1] else 1,
    )
    fill()
    table.remarks.append(f"Peak memory of a process that purges {size:,} keys of Redis: {peak('redis', options)} MiB.")


def bench_memcached(table: Table, size: int, server: MemcachedServer) -> None:
    """A pipeline of ``metadump`` and ``sed``, and both ways of ours."""

    def fill() -> None:
        client = server.client
        client.flush_all()
        for first in range(0, size, PAGE):
            names = [f"memc.sess.key.{number:0{IDS}}" for number in range(first, first + PAGE)]
            assert client.set_many(dict.fromkeys(names, "x" * DATA), noreply=True) == []
        assert client.version()

    options: dict[str, Any] = {"servers": [server.address]}
    table.measure(
        f"{size:,} items of Memcached",
        {
            "metadump, sed": timed(fill, lambda: shell(MEMCACHED_PIPELINE, PORT=server.port)),
            EXACT: timed(fill, lambda: purge("memcached", **options)),
            WINDOW: timed(fill, lambda: purge("memcached", **options, dedicated=True, leftovers="leave")),
            "flush_all": timed(fill, server.client.flush_all),
        },
        rounds=ROUNDS if size < SIZES[-1] else 1,
    )
    fill()
    used = peak("memcached", options)
    table.remarks.append(f"Peak memory of a process that purges {size:,} items of Memcached: {used} MiB.")


def bench_couchdb(table: Table, size: int, server: CouchDb) -> None:
    """Dropping the database by hand, which loses what belongs to it, and both ways of ours."""

    def fill() -> None:
        server.request("DELETE", "/bench")
        server.request("PUT", "/bench")
        for first in range(0, size, 1000):
            documents = [
                {"_id": f"{number:0{IDS}}", "data": "x" * DATA, "createdAt": 1} for number in range(first, first + 1000)
            ]
            server.request("POST", "/bench/_bulk_docs", {"docs": documents})

    def drop() -> None:
        server.request("DELETE", "/bench")
        server.request("PUT", "/bench")

    options: dict[str, Any] = {"url": server.url, "login_db": "bench"}
    table.measure(
        f"{size:,} documents of CouchDB's protocol",
        {
            "DELETE and PUT of the database": timed(fill, drop),
            EXACT: timed(fill, lambda: purge("couchdb", **options)),
            WINDOW: timed(fill, lambda: purge("couchdb", **options, dedicated=True)),
        },
        rounds=1,
    )


def bench(table: Table) -> None:
    """All stores. Documents stop at the number that still takes minutes, not hours, to make."""
    table.remarks += [
        f"A session has {DATA} bytes. Ours is the purge itself with both its counts, in a process that runs; Ansible"
        " and Python take half a second more each time. All servers are on the same machine, so that the commands which"
        " ask again and again wait for no network.",
        f"Files and tables were below {tempfile.gettempdir()}, on {file_system()}. Lines without a spread were measured"
        " once.",
    ]
    for size in SIZES:
        bench_files(table, size)
    with MariaDB("--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M") as mariadb:
        mariadb.query("CREATE DATABASE bench")
        for delta in sorted((ROOT / "roles" / "session_store" / "files" / "deltas").glob("*.sql")):
            mariadb.client(delta.read_text().split("-- //@UNDO")[0], "bench")
        for size in SIZES:
            bench_mysql(table, size, mariadb)
    with RedisServer() as redis:
        for size in SIZES:
            bench_redis(table, size, redis)
    with MemcachedServer(memory=2048) as memcached:
        for size in SIZES:
            bench_memcached(table, size, memcached)
    with CouchDb() as couchdb:
        bench_couchdb(table, SIZES[0], couchdb)
