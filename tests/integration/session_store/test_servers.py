# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several servers: dead, silent, read-only ones, a Galera cluster, a primary with a replica."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integration.session_store.conftest import Site
from tests.support.servers.base import free_port, wait_until
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.dripping import dripping
from tests.support.servers.galera import Galera, Replicated
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.session_store import create_tables, mysql_settings
from tests.support.servers.sql import SqlServer

Serve = Callable[..., Site]


def servers(*ports: int) -> list[dict[str, Any]]:
    return [{"host": "127.0.0.1", "port": port} for port in ports]


@pytest.fixture()
def marks(tmp_path: Path) -> Path:
    """Where a web host remembers servers that failed."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@pytest.fixture()
def silent() -> Iterator[int]:
    """The port of something that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def test_a_dead_server_is_passed_over_and_remembered(
    serve: Serve, mariadb: MariaDB, database: str, marks: Path
) -> None:
    create_tables(mariadb, database)
    settings = mysql_settings(mariadb, database, servers=servers(free_port(), mariadb.port), state_folder=str(marks))
    shop = serve(settings)
    assert [shop.session(count="1")["count"] for _ in range(3)] == [1, 2, 3]
    assert len(list(marks.iterdir())) == 1
    assert shop.errors == ""


@pytest.mark.parametrize("handler", ["mysql", "couchdb"])
def test_a_server_that_is_silent_is_left_in_time(
    handler: str, request: pytest.FixtureRequest, serve: Serve, silent: int, marks: Path
) -> None:
    short = {"read_timeout": 1, "lock_timeout": 0, "state_folder": str(marks), "retry_after": 600, "handler": handler}
    if handler == "couchdb":
        couchdb: CouchDb = request.getfixturevalue("couchdb")
        couchdb.drop("phpsessid")
        shop = serve({**short, "servers": servers(silent, couchdb.port)})
    else:
        mariadb: MariaDB = request.getfixturevalue("mariadb")
        database: str = request.getfixturevalue("database")
        create_tables(mariadb, database)
        shop = serve(mysql_settings(mariadb, database, **short, servers=servers(silent, mariadb.port)))
    assert [shop.session(count="1")["count"] for _ in range(3)] == [1, 2, 3]
    assert len(list(marks.iterdir())) == 1
    assert shop.errors == ""


@pytest.mark.parametrize(
    "begin", [b"HTTP/1.1 200 OK\r\nX-Header: ", b"HTTP/1.1 200 OK\r\n\r\n{"], ids=["header", "body"]
)
def test_a_couchdb_whose_answer_has_no_end_is_left_in_time(
    serve: Serve, couchdb: CouchDb, marks: Path, begin: bytes
) -> None:
    couchdb.drop("phpsessid")
    with dripping(begin) as port:
        shop = serve(
            {
                "handler": "couchdb", "servers": servers(port, couchdb.port), "read_timeout": 1,
                "state_folder": str(marks), "retry_after": 600,
            }
        )  # fmt: skip
        assert [shop.session(count="1")["count"] for _ in range(3)] == [1, 2, 3]
    assert len(list(marks.iterdir())) == 1
    assert shop.errors == ""


@pytest.mark.parametrize("handler", ["mysql", "couchdb"])
def test_a_server_by_its_ipv6_address(handler: str, serve: Serve) -> None:
    login = {"database": "shop", "user": "shop", "password": "shop", "lock_timeout": 0, "read_timeout": 0}
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        place = {"host": "::1", "port": listener.getsockname()[1]}
        serve({"handler": handler, "servers": [place], **login}).get(count="1")
        listener.setblocking(False)
        listener.accept()[0].close()  # PHP connected, and gave up


def test_a_write_that_was_given_up_is_not_done_later(serve: Serve, mariadb: MariaDB, database: str) -> None:
    create_tables(mariadb, database)
    shop = serve(mysql_settings(mariadb, database, read_timeout=1, lock_timeout=1))
    shop.get(count="1")
    with mariadb.connect(database, autocommit=False) as blocker, blocker.cursor() as cursor:
        cursor.execute("SELECT data FROM lamp_session FOR UPDATE")
        shop.get(count="1")
        blocker.rollback()
    assert "could not write a session" in shop.errors
    assert shop.session(count="1") == {"count": 2}


@pytest.fixture()
def shared_database(replicated: Replicated) -> Iterator[str]:
    """A database with the tables on the primary, which the replica has as well."""
    name = f"test_{secrets.token_hex(4)}"
    replicated.primary.query(f"CREATE DATABASE {name}")
    create_tables(replicated.primary, name)

    def arrived() -> bool:
        position = replicated.primary.query("SELECT @@gtid_binlog_pos")[0][0]
        return bool(replicated.replica.query("SELECT MASTER_GTID_WAIT(%s, 1) = 0", (position,))[0][0])

    wait_until(arrived, "replication")
    yield name
    replicated.primary.query(f"DROP DATABASE {name}")


def count(server: SqlServer, database: str) -> int:
    return int(server.query("SELECT COUNT(*) FROM lamp_session", database=database)[0][0])


def test_a_replica_is_not_written_to_whatever_the_users_rights(
    serve: Serve, replicated: Replicated, shared_database: str, marks: Path
) -> None:
    primary, replica = replicated.primary, replicated.replica
    replica.query("STOP SLAVE")
    try:
        settings = mysql_settings(
            primary, shared_database, servers=servers(replica.port, primary.port), state_folder=str(marks)
        )
        shop = serve(settings)
        assert [shop.session(count="1")["count"] for _ in range(3)] == [1, 2, 3]
        assert (count(primary, shared_database), count(replica, shared_database)) == (1, 0)
        assert shop.errors == ""
    finally:
        replica.query("START SLAVE")


def test_without_its_primary_sessions_are_read_and_after_a_promotion_written(
    serve: Serve, replicated: Replicated, shared_database: str
) -> None:
    primary, replica = replicated.primary, replicated.replica
    shop = serve(mysql_settings(primary, shared_database, servers=servers(primary.port, replica.port)))
    assert shop.session(count="1") == {"count": 1}
    wait_until(lambda: count(replica, shared_database) == 1, "replication")
    primary.kill()
    try:
        assert shop.session(count="1") == {"count": 2}, "the user is still known"
        assert "could not write a session: no server takes writes" in shop.errors
        assert shop.session() == {"count": 1}
        replica.query("SET GLOBAL read_only = 0")
        assert shop.session(count="1") == {"count": 2}
        assert shop.session(count="1") == {"count": 3}
        replica.query(f"TRUNCATE {shared_database}.lamp_session")
    finally:
        replica.query("SET GLOBAL read_only = 1")
        primary.start()


@pytest.mark.parametrize("handler", ["mysql", "mysql_variable"])
def test_requests_that_conflict_on_all_galera_nodes_are_all_written(handler: str, serve: Serve, galera: Galera) -> None:
    name = f"test_{secrets.token_hex(4)}"
    first = galera.nodes[0]
    first.query(f"CREATE DATABASE {name}")
    create_tables(first, name)
    hosts = [serve(mysql_settings(first, name, servers=servers(node.port), handler=handler)) for node in galera.nodes]
    for host in hosts:
        host.browser = hosts[0].browser
    hosts[0].get(count="1")
    with ThreadPoolExecutor(18) as pool:
        list(pool.map(lambda turn: hosts[turn % 3].get(count="1", **{f"set[v{turn % 7}]": "1"}), range(200)))
    assert len(hosts[0].session()) >= (8 if handler == "mysql_variable" else 2)
    assert [host.errors for host in hosts] == ["", "", ""]
    first.query(f"DROP DATABASE {name}")


def test_each_galera_node_sees_what_the_others_committed_and_one_that_dies_loses_nothing(
    serve: Serve, galera: Galera
) -> None:
    name = f"test_{secrets.token_hex(4)}"
    first = galera.nodes[0]
    first.query(f"CREATE DATABASE {name}")
    create_tables(first, name)
    ports = [node.port for node in galera.nodes]
    hosts = [
        serve(mysql_settings(first, name, servers=servers(*ports[turn:], *ports[:turn]), handler="mysql_variable"))
        for turn in range(3)
    ]
    for host in hosts:
        host.browser = hosts[0].browser
    for turn in range(1, 61):
        assert hosts[turn % 3].session(count="1") == {"count": turn}
    dying = galera.nodes[2]
    held = hosts[2].during(count="1")
    dying.kill()
    try:
        held()
        for turn in range(62, 72):
            assert hosts[turn % 3].session(count="1") == {"count": turn}
    finally:
        galera.rejoin(dying)
    assert [host.errors for host in hosts] == ["", "", ""]
    first.query(f"DROP DATABASE {name}")
