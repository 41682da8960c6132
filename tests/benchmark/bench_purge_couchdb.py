# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions purged: CouchDB's protocol, against dropping the database"""

from __future__ import annotations

from typing import Any

from tests.benchmark.purging import DATA, EXACT, IDS, REMARK, SIZES, SWEEP, WINDOW, note_peak, rounds, timed
from tests.benchmark.table import Table
from tests.support.purge import purge
from tests.support.servers.couchdb import CouchDb

HEADLINES = ()
OWN = "session_purge of the own store, in the window"
DELETE = "DELETE and PUT of the database"


def bench_couchdb(table: Table, size: int, server: CouchDb) -> None:
    """Dropping the database by hand, which loses what belongs to it, and the ways of ours."""

    def fill(epoch: bool = False) -> None:
        server.request("DELETE", "/bench")
        server.request("PUT", "/bench")
        own = {"type": "session", "epoch": 1, "expiresAt": 2} if epoch else {}
        if epoch:
            server.request("PUT", "/bench/lamp-epoch", {"epoch": 1, "first": 1})
        for first in range(0, size, 1000):
            documents = [
                {"_id": f"{number:0{IDS}}", "data": "x" * DATA, "createdAt": 1, **own}
                for number in range(first, first + 1000)
            ]
            server.request("POST", "/bench/_bulk_docs", {"docs": documents})

    def drop() -> None:
        server.request("DELETE", "/bench")
        server.request("PUT", "/bench")

    options: dict[str, Any] = {"url": server.url, "login_db": "bench"}

    def window() -> None:
        purge("couchdb", **options, leftovers="leave")

    def ended() -> None:
        fill(epoch=True)
        window()

    table.measure(
        f"{size:,} documents of CouchDB's protocol",
        {
            DELETE: timed(fill, drop),
            EXACT: timed(fill, lambda: purge("couchdb", **options)),
            WINDOW: timed(fill, lambda: purge("couchdb", **options, dedicated=True)),
            OWN: timed(lambda: fill(epoch=True), window),
            SWEEP: timed(ended, lambda: purge("couchdb", **options, leftovers="only")),
        },
        rounds=rounds(size, SIZES[1]),
    )
    fill()
    note_peak(table, f"{size:,} documents", "couchdb", options)


def bench(table: Table) -> None:
    """As many documents as do not take minutes to make."""
    table.remarks += [
        REMARK,
        "The server is PouchDB's, which speaks CouchDB's protocol, with its databases in memory. What it takes document"
        " by document is its own time: it writes each deletion as it writes any document.",
    ]
    with CouchDb() as couchdb:
        for size in SIZES[:2]:
            bench_couchdb(table, size, couchdb)
