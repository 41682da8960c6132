# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody holds the table: what becomes of the purge is an option, and who holds it is said."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

from tests.support.modules import run_module
from tests.support.purge import purge
from tests.support.servers.mariadb import MariaDB


class Held:
    """The table ``s`` of three sessions, and a report that holds it."""

    def __init__(self, server: MariaDB, database: str) -> None:
        self.server = server
        self.options = {
            "login_db": database, **server.login, "layout": "custom", "table": "s", "columns": {"id": "id"},
            "lock_wait_timeout": 1,
        }  # fmt: skip
        self.database = database
        self.sql("CREATE TABLE s (id VARCHAR(9) PRIMARY KEY)")
        self.sql("INSERT INTO s VALUES ('a'), ('b'), ('c')")
        self.reader: pymysql.Connection[Any] = server.connect(database, autocommit=False)
        self.reader.query("SELECT * FROM s")

    def sql(self, sql: str) -> list[tuple[Any, ...]]:
        return self.server.query(sql, database=self.database)

    def tables(self) -> set[str]:
        return {name for (name,) in self.sql("SHOW TABLES")}

    def purge(self, **options: Any) -> dict[str, Any]:
        return purge("mysql", **{**self.options, **options})

    def run(self, **options: Any) -> Any:
        return run_module("session_purge", {"store": "mysql", **self.options, **options})


@pytest.fixture()
def held(mariadb: MariaDB, database: str) -> Iterator[Held]:
    held = Held(mariadb, database)
    yield held
    if held.reader.open:
        held.reader.close()


@pytest.mark.parametrize("leftovers", ["remove", "leave"])
def test_by_default_the_rows_are_deleted_for_which_nobody_has_to_let_go(held: Held, leftovers: str) -> None:
    assert held.purge(leftovers=leftovers)["purged"] == 3
    assert held.sql("SELECT COUNT(*) FROM s") == [(0,)]
    assert held.tables() == {"s"}


def test_a_row_that_is_held_is_waited_for_and_the_holder_is_named(held: Held) -> None:
    held.reader.query("SELECT * FROM s WHERE id = 'b' FOR UPDATE")
    result = held.run()
    assert result["error_code"] == "session_purge_locked"
    assert f"(connection {held.reader.thread_id()}," in result["msg"]


@pytest.mark.parametrize(("on_lock", "leftovers"), [("wait", "remove"), ("wait", "leave"), ("swap", "remove")])
def test_who_does_not_let_go_is_named_and_nothing_is_lost(held: Held, on_lock: str, leftovers: str) -> None:
    result = held.run(on_lock=on_lock, leftovers=leftovers)
    assert result["error_code"] == "session_purge_locked"
    assert f"(connection {held.reader.thread_id()}," in result["msg"]
    assert held.sql("SELECT COUNT(*) FROM s") == [(3,)]
    assert held.tables() == {"s"}


@contextlib.contextmanager
def backup(held: Held) -> Iterator[str]:
    """Somebody who holds the table without a transaction, and works in no database; as a message has it."""
    held.reader.close()
    with contextlib.closing(held.server.connect()) as connection:
        connection.query(f"LOCK TABLES `{held.database}`.s READ")
        yield f"(connection {connection.thread_id()},"


@contextlib.contextmanager
def reports(held: Held, number: int) -> Iterator[str]:
    """Transactions that hold nothing of the table."""
    with contextlib.ExitStack() as stack:
        for _each in range(number):
            connection = stack.enter_context(contextlib.closing(held.server.connect(held.database, autocommit=False)))
            connection.query("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        yield f"(connection {connection.thread_id()},"


@pytest.fixture()
def told(mariadb: MariaDB) -> Iterator[None]:
    """The server tells whose locks a table has."""
    mariadb.query("INSTALL SONAME 'metadata_lock_info'")
    yield
    mariadb.query("UNINSTALL SONAME 'metadata_lock_info'")


def test_who_holds_it_without_a_transaction_is_named_too(held: Held) -> None:
    with backup(held) as holder:
        result = held.run(on_lock="wait")
    assert result["error_code"] == "session_purge_locked"
    assert holder in result["msg"]
    assert "no transaction is open" in result["msg"]
    assert held.purge()["purged"] == 3


def test_where_the_server_does_not_tell_transactions_are_named_and_who_has_none(held: Held) -> None:
    with backup(held) as holder, reports(held, 1) as report:
        said = held.run(on_lock="wait")["msg"]
    assert 0 < said.index(report) < said.index("which have no transaction open") < said.index(holder), said


def test_of_many_that_may_hold_it_some_are_named_and_the_others_counted(held: Held) -> None:
    with backup(held) as holder, reports(held, 25):
        said = held.run(on_lock="wait")["msg"]
    assert said.count("(connection ") >= 21, said
    assert " and 5 more; or one of these" in said
    assert holder in said


@pytest.mark.usefixtures("told")
def test_where_the_server_tells_the_holder_alone_is_named(held: Held) -> None:
    with backup(held) as holder, reports(held, 1) as report:
        said = held.run(on_lock="wait")["msg"]
    assert (holder in said, report in said) == (True, False), said
    with contextlib.closing(held.server.connect()) as dump, reports(held, 1) as report:
        dump.query("FLUSH TABLES WITH READ LOCK")
        said = held.run(on_lock="wait")["msg"]
        assert f"(connection {dump.thread_id()}," in said, said
        assert report not in said, said


def test_a_swap_comes_through_once_the_table_is_let_go(held: Held) -> None:
    end = threading.Timer(1.5, held.reader.close)
    end.start()
    done = held.purge(on_lock="swap", lock_wait_timeout=30, keep_ids=["b"])
    end.join()
    assert (done["purged"], done["after"], held.sql("SELECT id FROM s")) == (2, 1, [("b",)])


def test_a_table_that_was_exchanged_is_swept_later_and_its_neighbours_are_not(held: Held) -> None:
    held.reader.close()
    neighbours = {
        "s_purged_bcdfghj",
        "s_purged_bcdfghjkl",
        "s_purged_bcdfghja",
        "ss_purged_bcdfghjk",
        "s_purged_bcdfghjK",
        "s_purged_20251101",
        "s_purged_deadbeef",
    }
    for name in neighbours:
        held.sql(f"CREATE TABLE `{name}` (id INT)")
    done = held.purge(on_lock="swap", leftovers="leave")
    assert (done["purged"], done["after"], done["swept"]) == (3, 0, 0)
    (old,) = held.tables() - neighbours - {"s"}
    assert held.sql(f"SELECT COUNT(*) FROM `{old}`") == [(3,)]
    assert held.purge(leftovers="only", check=True)["swept"] == 3
    assert old in held.tables()
    swept = held.purge(leftovers="only")
    assert (swept["changed"], swept["swept"], held.tables()) == (True, 3, neighbours | {"s"})
    assert not held.purge(leftovers="only")["changed"]


@pytest.mark.parametrize("right", ["CREATE", "TRIGGER"])
def test_a_user_who_may_not_exchange_tables_is_told_so_before_anything_else_is_done(held: Held, right: str) -> None:
    rights = {"SELECT", "DELETE", "UPDATE", "ALTER", "CREATE", "DROP", "INSERT", "TRIGGER"} - {right}
    purger = {"login_user": "purger", "login_password": "purger-secret", "on_lock": "swap"}
    held.sql("CREATE USER 'purger'@'%' IDENTIFIED BY 'purger-secret'")
    try:
        held.sql(f"GRANT {', '.join(sorted(rights))} ON `{held.database}`.* TO 'purger'@'%'")
        if right == "CREATE":
            held.sql(f"GRANT CREATE ON `{held.database}`.s TO 'purger'@'%'")  # which is for no table beside it
        for check in (True, False):
            with pytest.raises(LampError, match=f"the user is not seen to have {right}[.]") as raised:
                held.purge(**purger, check=check)
            assert raised.value.code == "session_purge_cannot_swap"
        held.reader.close()
        held.sql(f"GRANT {right} ON `{held.database}`.{'*' if right == 'CREATE' else 's'} TO 'purger'@'%'")
        assert [held.purge(**purger, check=check)["purged"] for check in (True, False)] == [3, 3]
    finally:
        held.sql("DROP USER 'purger'@'%'")


def test_a_server_that_writes_names_small_takes_them_as_they_are_given() -> None:
    with MariaDB("--lower-case-table-names=1") as server:
        server.query("CREATE DATABASE shop")
        sessions = Held(server, "shop")
        sessions.reader.close()
        sessions.sql("CREATE USER 'purger'@'%' IDENTIFIED BY 'purger-secret'")
        sessions.sql("GRANT SELECT, DROP, UPDATE ON shop.s TO 'purger'@'%'")
        purger = {"login_user": "purger", "login_password": "purger-secret", "login_db": "Shop", "on_lock": "wait"}
        assert purge("mysql", **{**sessions.options, **purger, "table": "S"}, check=True)["purged"] == 3
        assert sessions.purge(table="Shop.S", leftovers="leave")["purged"] == 3
        assert len(sessions.tables()) == 2
        assert sessions.purge(table="Shop.S", leftovers="only")["swept"] == 3
        assert sessions.tables() == {"s"}


def test_a_table_that_more_hangs_on_is_not_exchanged(held: Held) -> None:
    held.reader.close()
    held.sql("CREATE TRIGGER t BEFORE DELETE ON s FOR EACH ROW SET @gone = 1")
    result = held.run(on_lock="swap")
    assert result["error_code"] == "session_purge_cannot_swap"
    assert "triggers" in result["msg"]
    assert held.sql("SELECT COUNT(*) FROM s") == [(3,)]
    assert held.purge(leftovers="leave")["purged"] == 3
    assert (held.sql("SELECT COUNT(*) FROM s"), held.tables()) == ([(0,)], {"s"})


@pytest.mark.parametrize("keep", [[], ["2"]])
@pytest.mark.parametrize(
    "rest", [", note TEXT, FULLTEXT KEY words (note)) COMMENT 'AUTO_INCREMENT=7; it''s ours'",
             ", UNIQUE KEY one (id, tag)) PARTITION BY KEY (id) PARTITIONS 3"],
    ids=["full text", "partitions"],
)  # fmt: skip
def test_what_a_swap_puts_in_its_place_is_the_same_table_but_for_the_rows(
    held: Held, rest: str, keep: list[str]
) -> None:
    held.reader.close()
    held.sql("DROP TABLE s")
    made = "tag INT DEFAULT 3, made INT AS (tag + 1) PERSISTENT COMMENT 'by itself'"
    held.sql(f"CREATE TABLE s (id INT PRIMARY KEY AUTO_INCREMENT COMMENT 'one''s own', {made}{rest}")
    held.sql("INSERT INTO s (id) VALUES (1), (2), (40)")
    held.sql("CREATE VIEW v AS SELECT id FROM s")
    held.sql("CREATE USER 'reader'@'%'")
    try:
        held.sql(f"GRANT SELECT (id) ON `{held.database}`.s TO 'reader'@'%'")
        before = held.sql("SHOW CREATE TABLE s"), held.sql("SHOW GRANTS FOR 'reader'@'%'")
        done = held.purge(on_lock="swap", keep_ids=keep)
        assert (done["before"], done["purged"]) == (3, 3 - len(keep))
        assert (held.sql("SHOW CREATE TABLE s"), held.sql("SHOW GRANTS FOR 'reader'@'%'")) == before
    finally:
        held.sql("DROP USER 'reader'@'%'")
    assert held.sql("SELECT * FROM v") == [(int(number),) for number in keep]
    held.sql("INSERT INTO s VALUES ()" if "PARTITION" in rest else "INSERT INTO s (note) VALUES ('new')")
    assert held.sql("SELECT MAX(id) FROM s") == [(41,)], "a number is not given twice"
