# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""transaction_drain against a real MariaDB: it waits for what was open, and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pymysql
import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._transaction_drain import open_transactions

from tests.support.modules import ModuleResult, run_module
from tests.support.servers.base import wait_until
from tests.support.servers.mariadb import MariaDB


@pytest.fixture()
def user(mariadb: MariaDB, database: str) -> Iterator[str]:
    """The application's user, with one table."""
    mariadb.query("CREATE TABLE t (a INT) ENGINE=InnoDB", database=database)
    mariadb.query(f"CREATE USER `{database}`@'%' IDENTIFIED BY 'secret-of-the-shop'")
    mariadb.query(f"GRANT ALL ON `{database}`.* TO `{database}`@'%'")
    yield database
    mariadb.query(f"DROP USER `{database}`@'%'")


@contextmanager
def transaction(mariadb: MariaDB, user: str) -> Iterator[pymysql.Connection[Any]]:
    """An open transaction of the application."""
    with closing(
        pymysql.connect(
            host="127.0.0.1",
            port=mariadb.port,
            user=user,
            password="secret-of-the-shop",
            database=user,
        )
    ) as connection:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO t VALUES (1)")
        yield connection


def drain(mariadb: MariaDB, user: str, *, check: bool = False, **options: Any) -> ModuleResult:
    return run_module("transaction_drain", {**mariadb.login, "user": user, **options}, check=check, diff=True)


def test_it_waits_for_what_is_open_and_for_no_other_user(mariadb: MariaDB, user: str) -> None:
    idle = drain(mariadb, user)
    assert (idle["changed"], idle["drained"], idle["transactions"]) == (False, True, [])
    with transaction(mariadb, user) as connection, ThreadPoolExecutor(1) as pool:
        assert drain(mariadb, "root")["drained"]
        looked = drain(mariadb, user, check=True, on_drain_timeout="fail")
        assert (looked["drained"], [one["id"] for one in looked["transactions"]]) == (False, [connection.thread_id()])
        late = drain(mariadb, user, drain_timeout=0.1)
        assert (late["drained"], len(late["transactions"])) == (False, 1)
        failed = drain(mariadb, user, drain_timeout=0, on_drain_timeout="fail")
        assert failed["error_code"] == "transaction_drain_timeout"
        assert f"connection {connection.thread_id()} from 127.0.0.1" in failed["msg"]
        waiting = pool.submit(drain, mariadb, user)
        seen = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'root'"
        wait_until(lambda: mariadb.query(seen)[0][0] >= 2 or waiting.done(), "the module's connection")
        assert not waiting.done()
        connection.commit()
        assert waiting.result()["drained"]


def test_the_time_zone_of_the_server_hides_no_transaction(mariadb: MariaDB, user: str) -> None:
    mariadb.query("SET GLOBAL time_zone = '-03:00'")  # the machine has another one
    try:
        with transaction(mariadb, user):
            late = drain(mariadb, user, drain_timeout=0)
    finally:
        mariadb.query("SET GLOBAL time_zone = 'SYSTEM'")
    assert (late["drained"], [one["seconds"] < 60 for one in late["transactions"]]) == (False, [True]), late


def test_an_hour_that_comes_twice_hides_no_transaction(mariadb: MariaDB, user: str) -> None:
    clock_went_back = "SET timestamp = UNIX_TIMESTAMP() - 3600"
    with transaction(mariadb, user), closing(mariadb.connect()) as connection:
        with connection.cursor() as cursor:
            cursor.execute(clock_went_back)

        def seen() -> bool:
            mariadb.query("SELECT SLEEP(0.15)")  # InnoDB shows who looks within a tenth of a second the same picture
            return len(open_transactions(connection, user, 5)) == 1

        wait_until(seen, "a transaction from the future", seconds=10)


def test_a_user_without_the_right_is_told_which(mariadb: MariaDB, user: str) -> None:
    login: dict[str, Any] = {"login_user": user, "login_password": "secret-of-the-shop"}
    failed = drain(mariadb, user, **login)
    assert failed["error_code"] == "transaction_drain_no_right"
    assert "PROCESS" in failed["msg"]
    mariadb.query(f"GRANT PROCESS ON *.* TO `{user}`@'%'")
    with transaction(mariadb, user):
        assert len(drain(mariadb, user, drain_timeout=0, **login)["transactions"]) == 1
