# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions purged: a table, against TRUNCATE and DELETE"""

from __future__ import annotations

import tempfile
from typing import Any

from tests.benchmark.purging import REMARK, SIZES, file_system, note_peak, rounds, timed
from tests.benchmark.table import Headline, Table
from tests.support.modules import ROOT
from tests.support.purge import purge
from tests.support.servers.mariadb import MariaDB

ROWS = "session_purge, in the window"
HEADLINES = (
    Headline(
        f"{SIZES[-1]:,} rows of sessions ended, in the window", f"{SIZES[-1]:,} rows", ROWS, ("TRUNCATE", "DELETE")
    ),
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
        rounds=rounds(size),
    )
    purge("mysql", **{**options, "leftovers": "only"})
    fill()
    note_peak(table, f"{size:,} rows but 1, by DELETE", "mysql", {**options, "keep_ids": ["7"]})


def bench(table: Table) -> None:
    """All sizes, in this collection's own table."""
    table.remarks += [REMARK, f"Tables were below {tempfile.gettempdir()}, on {file_system()}."]
    with MariaDB("--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M") as mariadb:
        mariadb.query("CREATE DATABASE bench")
        for delta in sorted((ROOT / "roles" / "session_store" / "files" / "deltas").glob("*.sql")):
            mariadb.client(delta.read_text().split("-- //@UNDO")[0], "bench")
        for size in SIZES:
            bench_mysql(table, size, mariadb)
