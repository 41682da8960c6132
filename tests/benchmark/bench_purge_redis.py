# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions purged: Redis, against redis-cli"""

from __future__ import annotations

from functools import partial
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
from tests.benchmark.table import Headline, Table
from tests.support.purge import purge
from tests.support.servers.base import wait_until
from tests.support.servers.redis import RedisCluster, RedisServer, Sentinel

SCAN = "redis-cli --scan, xargs unlink"
KEYS = f"{SIZES[-1]:,} keys of Redis"
HEADLINES = (
    Headline(f"{KEYS} that share a database, exactly", KEYS, EXACT, (SCAN,)),
    Headline("the same across a network of 0.2 ms (simulated)", f"{KEYS}{ACROSS}", EXACT, (SCAN,)),
)
REMARKS = (
    "`redis-cli --scan` asks for ten keys at a time and waits for each answer, which is free on loopback and what most"
    " of its time goes to across a network. Ours asks once for all that the server walks through in 3 ms. On loopback"
    " both wait for the server alone, and the server for its memory: it must touch every key to name and to remove it.",
    "The sentinel is asked for the primary within the time.",
)
FILL_REDIS = f"""
for number = ARGV[1], ARGV[2] do
  redis.call('SETEX', string.format('PHPREDIS_SESSION:%0{IDS}d', number), 1440, string.rep('x', {DATA}))
end
"""


def fill(server: RedisServer, size: int) -> None:
    """So many sessions, and nothing else."""
    server.client.flushall()
    for first in range(1, size, PAGE):
        server.client.eval(FILL_REDIS, 0, first, first + PAGE - 1)


def unlink(host: str, port: object) -> str:
    """The usual pipeline, at one server."""
    at = f"redis-cli -h {host} -p {port}"
    return f"{at} --scan --pattern 'PHPREDIS_SESSION:*' | xargs {at} unlink"


def bench_redis(table: Table, size: int, server: RedisServer) -> None:
    """``redis-cli --scan`` into ``unlink``, and both ways of ours; then across a network."""
    new = partial(fill, server, size)
    options: dict[str, Any] = {"servers": [server.address]}
    table.measure(
        f"{size:,} keys of Redis",
        {
            SCAN: timed(new, lambda: shell(unlink("127.0.0.1", server.port))),
            EXACT: timed(new, lambda: purge("redis", **options)),
            WINDOW: timed(new, lambda: purge("redis", **options, dedicated=True)),
            "FLUSHDB": timed(new, lambda: shell(f"redis-cli -p {server.port} flushdb sync")),
        },
        rounds=rounds(size),
    )
    with network.delayed("127.0.0.1", server.port) as port:
        far: dict[str, Any] = {"servers": [f"127.0.0.1:{port}"]}
        table.measure(
            f"{size:,} keys of Redis{ACROSS}",
            {
                SCAN: timed(new, lambda: shell(unlink("127.0.0.1", port))),
                EXACT: timed(new, lambda: purge("redis", **far)),
                WINDOW: timed(new, lambda: purge("redis", **far, dedicated=True)),
            },
            rounds=rounds(size),
        )
    new()
    note_peak(table, f"{size:,} keys of Redis", "redis", options)


def bench_sentinel(table: Table, size: int, primary: RedisServer) -> None:
    """A primary that a sentinel names; the rest is what it is with a single server."""
    new = partial(fill, primary, size)
    with Sentinel(primary) as sentinel:
        wait_until(
            lambda: sentinel.client.sentinel_master("mymaster")["is_master"], "the sentinel's view of its primary"
        )
        ask = f"set -- $(redis-cli -p {sentinel.port} sentinel get-master-addr-by-name mymaster)"
        options: dict[str, Any] = {
            "topology": "sentinel", "servers": [sentinel.address], "sentinel_service": "mymaster",
        }  # fmt: skip
        table.measure(
            f"{size:,} keys of a primary that a sentinel names",
            {
                SCAN: timed(new, lambda: shell(f"{ask}; {unlink('$1', '$2')}")),
                EXACT: timed(new, lambda: purge("redis", **options)),
            },
            rounds=rounds(size),
        )


def bench_cluster(table: Table, size: int, cluster: RedisCluster) -> None:
    """Three primaries; the shell asks each for its keys, and unlinks them one by one, as they differ in their slots."""

    def new() -> None:
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
            "redis-cli --scan, sed, redis-cli, node by node": timed(new, lambda: shell(scan)),
            EXACT: timed(new, lambda: purge("redis", **options)),
        },
        rounds=rounds(size, SIZES[1]),
    )


def bench(table: Table) -> None:
    """All sizes on one server, and those on a cluster that do not take minutes to make."""
    table.remarks += [REMARK, network.remark(), *REMARKS]
    with RedisServer() as redis:
        for size in SIZES:
            bench_redis(table, size, redis)
        bench_sentinel(table, SIZES[1], redis)
    with RedisCluster() as cluster:
        for size in SIZES[:2]:
            bench_cluster(table, size, cluster)
