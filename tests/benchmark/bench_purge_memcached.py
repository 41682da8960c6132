# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions purged: Memcached, against metadump and sed"""

from __future__ import annotations

from typing import Any

from tests.benchmark import network
from tests.benchmark.purging import (
    ACROSS,
    DATA,
    EXACT,
    IDS,
    PAGE,
    REMARK,
    SIZES,
    WINDOW,
    note_peak,
    rounds,
    shell,
    timed,
)
from tests.benchmark.table import Table
from tests.support.purge import purge
from tests.support.servers.memcached import MemcachedServer

HEADLINES = ()
PIPELINE = "metadump, sed"
MEMCACHED_PIPELINE = r"""
exec 3<>/dev/tcp/127.0.0.1/$PORT 4<>/dev/tcp/127.0.0.1/$PORT
printf 'lru_crawler metadump all\r\n' >&3
sed -n -e '/^END/q' -e 's/^key=\(memc\.sess\.key\.[^ ]*\) .*/delete \1 noreply\r/p' <&3 >&4
printf 'version\r\n' >&4
head -n 1 <&4 >/dev/null
"""


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
            PIPELINE: timed(fill, lambda: shell(MEMCACHED_PIPELINE, PORT=server.port)),
            EXACT: timed(fill, lambda: purge("memcached", **options)),
            WINDOW: timed(fill, lambda: purge("memcached", **options, dedicated=True, leftovers="leave")),
            "flush_all": timed(fill, server.client.flush_all),
        },
        rounds=rounds(size),
    )
    with network.delayed("127.0.0.1", server.port) as port:
        table.measure(
            f"{size:,} items of Memcached{ACROSS}",
            {
                PIPELINE: timed(fill, lambda: shell(MEMCACHED_PIPELINE, PORT=port)),
                EXACT: timed(fill, lambda: purge("memcached", servers=[f"127.0.0.1:{port}"])),
            },
            rounds=rounds(size),
        )
    fill()
    note_peak(table, f"{size:,} items of Memcached", "memcached", options)


def bench(table: Table) -> None:
    """All sizes."""
    table.remarks += [REMARK, network.remark()]
    with MemcachedServer(memory=2048) as memcached:
        for size in SIZES:
            bench_memcached(table, size, memcached)
