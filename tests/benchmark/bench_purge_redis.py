# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions purged: Redis, against redis-cli"""

from __future__ import annotations

from typing import Any

from tests.benchmark.purging import DATA, EXACT, IDS, PAGE, REMARK, SIZES, WINDOW, note_peak, rounds, shell, timed
from tests.benchmark.table import Headline, Table
from tests.support.purge import purge
from tests.support.servers.redis import RedisCluster, RedisServer

SCAN = "redis-cli --scan, xargs unlink"
HEADLINES = (
    Headline(
        f"{SIZES[-1]:,} keys of Redis that share a database, exactly", f"{SIZES[-1]:,} keys of Redis", EXACT, (SCAN,)
    ),
)
FILL_REDIS = f"""
for number = ARGV[1], ARGV[2] do
  redis.call('SETEX', string.format('PHPREDIS_SESSION:%0{IDS}d', number), 1440, string.rep('x', {DATA}))
end
"""


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
        rounds=rounds(size),
    )
    fill()
    note_peak(table, f"{size:,} keys of Redis", "redis", options)


def bench_cluster(table: Table, size: int, cluster: RedisCluster) -> None:
    """Three primaries; the shell asks each for its keys, and unlinks them one by one, as they differ in their slots."""

    def fill() -> None:
        pipeline = cluster.client.pipeline()
        for number in range(size):
            pipeline.setex(f"PHPREDIS_CLUSTER_SESSION:{number:0{IDS}}", 1440, "x" * DATA)
            if number % PAGE == PAGE - 1:
                pipeline.execute()
        pipeline.execute()

    scan = "; ".join(
        f"redis-cli -p {node.port} --scan --pattern 'PHPREDIS_CLUSTER_SESSION:*' | sed 's/^/unlink /'"
        f" | redis-cli -p {node.port}"
        for node in cluster.nodes
    )
    options: dict[str, Any] = {"topology": "cluster", "servers": [cluster.nodes[0].address]}
    table.measure(
        f"{size:,} keys of a cluster of three",
        {
            "redis-cli --scan, sed, redis-cli, node by node": timed(fill, lambda: shell(scan)),
            EXACT: timed(fill, lambda: purge("redis", **options)),
        },
        rounds=rounds(size, SIZES[1]),
    )


def bench(table: Table) -> None:
    """All sizes on one server, and those on a cluster that do not take minutes to make."""
    table.remarks += [
        REMARK,
        "The server is on the same machine, so that commands which ask again and again wait for no network.",
    ]
    with RedisServer() as redis:
        for size in SIZES:
            bench_redis(table, size, redis)
    with RedisCluster() as cluster:
        for size in SIZES[:2]:
            bench_cluster(table, size, cluster)
