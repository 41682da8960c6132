# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the handlers send to their servers: prepared statements by an index, no more than has changed, no bodies."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.integration.session_store.conftest import Site, Start
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.mariadb import MariaDB

MYSQL = ["mysql", "mysql_variable"]
HOSTILE = "x'; DROP TABLE lamp_session; -- "
# So many rows that no plan which reads them all is ever the cheaper one.
FILL = """INSERT INTO lamp_session SELECT UNHEX(SHA2(seq, 256)), '', 1, 1, 1, UNIX_TIMESTAMP() + seq - 100
    FROM seq_1_to_30000;
    INSERT INTO lamp_session_variable SELECT UNHEX(SHA2(seq, 256)), UNHEX(SHA2('v', 256)), 'v', 'b:0', 1
    FROM seq_1_to_30000;
    ANALYZE TABLE lamp_session, lamp_session_variable"""


class Log:
    """What the handlers' connections sent; those of the tests prepare nothing."""

    def __init__(self, server: MariaDB) -> None:
        self.server = server

    def sent(self, act: Callable[[], object]) -> list[tuple[str, str]]:
        """Kind and text of each command that came while ``act`` ran."""
        self.server.query("TRUNCATE mysql.general_log")
        self.server.query("SET GLOBAL general_log = 1")
        act()
        self.server.query("SET GLOBAL general_log = 0")
        rows = self.server.query("""SELECT command_type, HEX(argument) FROM mysql.general_log WHERE thread_id IN
            (SELECT thread_id FROM mysql.general_log WHERE command_type = 'Prepare')""")
        return [(kind, bytes.fromhex(text).decode(errors="replace")) for kind, text in rows]


@pytest.fixture()
def log(mariadb: MariaDB) -> Iterator[Log]:
    before = mariadb.query("SELECT @@GLOBAL.log_output")[0][0]
    mariadb.query("SET GLOBAL log_output = 'TABLE'")
    yield Log(mariadb)
    mariadb.query(f"SET GLOBAL general_log = 0, GLOBAL log_output = '{before}'")


@pytest.mark.parametrize("handler", MYSQL)
def test_values_come_only_into_prepared_statements(site: Start, handler: str, log: Log) -> None:
    shop = site(handler)

    def visit() -> None:
        shop.present(HOSTILE)
        shop.get(**{f"set[{HOSTILE}]": HOSTILE})
        shop.get(**{"unset[]": HOSTILE}, gc="1")
        shop.get(destroy="1")

    sent = log.sent(visit)
    assert {kind for kind, _text in sent} == {"Connect", "Query", "Prepare", "Execute", "Close stmt", "Quit"}
    assert all(text.startswith("SET SESSION sql_mode") for kind, text in sent if kind == "Query")
    assert not [text for kind, text in sent if kind == "Prepare" and "DROP" in text]
    assert [text for kind, text in sent if kind == "Execute" and "DROP" in text], "it was there"
    assert shop.errors == ""


@pytest.mark.parametrize("handler", MYSQL)
def test_no_statement_reads_a_whole_table(site: Start, handler: str, log: Log, mariadb: MariaDB, database: str) -> None:
    shop = site(handler)
    for statement in FILL.split(";"):
        mariadb.query(statement, database=database)

    def visit() -> None:
        shop.get(count="1")
        shop.get(**{"set[a]": "1"})
        shop.get(**{"unset[]": "a"})
        shop.get()
        shop.get(gc="1")
        shop.get(destroy="1")

    prepared = {text for kind, text in log.sent(visit) if kind == "Prepare" and "lamp_session" in text}
    assert len(prepared) >= 7
    for statement in prepared:
        values = (b"\1" * 32,) * statement.count("?")
        sql = re.sub("%", "%%", statement).replace("?", "%s")
        for kind, table, how in [row[1:4] for row in mariadb.query(f"EXPLAIN {sql}", values, database=database)]:
            small = table in (None, "e", "lamp_session_epoch") or str(table).startswith("<")
            assert how != "ALL" or small or kind == "INSERT", statement


def test_a_request_sends_what_it_changed_in_one_statement_whatever_the_sessions_size(site: Start, log: Log) -> None:
    shop = site("mysql_variable")
    shop.get(bytes="4096")  # a megabyte
    sent = log.sent(lambda: shop.get(**{"set[a]": "1", "set[b]": "2", "set[c]": "3"}))
    writes = [text for kind, text in sent if kind == "Execute" and not text.startswith("SELECT")]
    assert [text.split(" (")[0].split(" SET")[0] for text in writes] == [
        "INSERT INTO lamp_session_variable",
        "UPDATE lamp_session",
    ]
    assert sum(len(text) for _kind, text in sent) < 10_000
    assert shop.session(**{"set[a]": "1"})["c"] == "3"


@contextmanager
def relay(port: int) -> Iterator[tuple[int, list[int]]]:
    """A port that leads to ``port``, and the sizes of what came back from there."""
    sizes: list[int] = []

    def pump(source: socket.socket, target: socket.socket, count: bool) -> None:
        while data := source.recv(1 << 16):
            if count:
                sizes.append(len(data))
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", port))
            for arguments in ((client, server, False), (server, client, True)):
                threading.Thread(target=pump, args=arguments, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], sizes
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_couchdb_is_cleaned_up_without_a_body_being_fetched(serve: Callable[..., Site], couchdb: CouchDb) -> None:
    couchdb.drop("phpsessid")
    with relay(couchdb.port) as (port, sizes):
        shop = serve({"handler": "couchdb", "servers": [{"host": "127.0.0.1", "port": port}]})
        shop.get(count="1")
        old = [
            {"_id": f"session-{n}", "type": "session", "epoch": 1, "expiresAt": n, "data": "x" * 50_000}
            for n in range(20)
        ]
        couchdb.request("POST", "/phpsessid/_bulk_docs", {"docs": old})
        couchdb.request("GET", "/phpsessid/_design/lamp_session/_view/by_expiry?limit=0")  # brings the view up to date
        sizes.clear()
        assert shop.session(gc="1")["gc"] == 20
        assert sum(sizes) < 50_000
    assert shop.errors == ""


@pytest.mark.parametrize("version", [None, 0])
def test_many_first_requests_make_or_upgrade_the_design_document_once(
    serve: Callable[..., Site], couchdb: CouchDb, version: int | None
) -> None:
    couchdb.drop("phpsessid")
    if version is not None:
        couchdb.request("PUT", "/phpsessid")
        couchdb.request("PUT", "/phpsessid/_design/lamp_session", {"version": version, "views": {}})
    shop = serve({"handler": "couchdb", "servers": [{"host": "127.0.0.1", "port": couchdb.port}]})
    begun = list(shop.pool.map(lambda _: shop.visitor(count="1"), range(8)))
    assert [answer["session"] for answer in begun] == [{"count": 1}] * 8
    assert len({answer["id"] for answer in begun}) == 8
    for answer in begun:
        shop.present(answer["id"])
        assert shop.session()["count"] >= 1
    design = couchdb.request("GET", "/phpsessid/_design/lamp_session")
    assert (design["version"], design["_rev"].split("-")[0]) == (1, "1" if version is None else "2")
    assert shop.errors == ""
