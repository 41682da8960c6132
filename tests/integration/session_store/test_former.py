# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases from before: another handler's table goes on while hosts are upgraded, and is taken over in place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.session_store.conftest import Site, run_role
from tests.support.modules import ROOT
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.session_store import FILES, create_tables, mysql_settings

FORMER = ROOT / "tests" / "php" / "former"
SESSION = {
    "layout": "session", "table": "sessions", "id": "sess_key", "data": "sess_data",
    "time": "last_change", "time_is": "changed_unix",
}  # fmt: skip
SESSION_TABLE = """CREATE TABLE sessions (sess_key VARCHAR(64) NOT NULL PRIMARY KEY, sess_data BLOB NOT NULL,
    last_change INT UNSIGNED NOT NULL)"""
VARIABLE = {
    "layout": "variable", "table": "session values", "id": "session", "name": "key", "value": "value",
    "time": "until", "time_is": "expires_datetime",
}  # fmt: skip
VARIABLE_TABLE = """CREATE TABLE `session values` (session CHAR(40) NOT NULL, `key` VARCHAR(100) NOT NULL,
    value MEDIUMBLOB, until DATETIME NOT NULL, INDEX (session))"""
LAYOUTS = [
    pytest.param("mysql", SESSION, SESSION_TABLE, id="session"),
    pytest.param("mysql_variable", VARIABLE, VARIABLE_TABLE, id="variable"),
]


class Database:
    """An application's database whose schema nobody recorded, and the role run against it."""

    def __init__(self, server: MariaDB, name: str, folder: Path) -> None:
        self.server, self.name, self.folder = server, name, folder

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self.server.query(sql, database=self.name)

    def role(self, entry: str, handler: str, former: dict[str, str]) -> str:
        """Run an entry point of the role; what Ansible printed."""
        return run_role(
            self.folder, entry, session_store_handler=handler, session_store_database=self.name,
            session_store_servers=[{"host": "127.0.0.1", "port": self.server.port}], session_store_user="root",
            session_store_password=self.server.password, session_store_former=former,
        )  # fmt: skip

    def tables(self) -> set[str]:
        return {str(row[0]) for row in self.query("SHOW TABLES")}


@pytest.fixture()
def old(mariadb: MariaDB, database: str, tmp_path: Path) -> Database:
    return Database(mariadb, database, tmp_path)


@pytest.mark.parametrize(("handler", "former", "table"), LAYOUTS)
def test_a_rolling_upgrade_loses_no_count(
    handler: str, former: dict[str, str], table: str, old: Database, serve: Callable[..., Site]
) -> None:
    old.query(table)
    settings = mysql_settings(old.server, old.name, handler=handler, former=former)
    serializer = "php" if handler == "mysql" else "php_serialize"
    before = serve(settings, FORMER / f"{former['layout']}.php", **{"session.serialize_handler": serializer})
    assert before.session(count="1", **{"set[name]": "|;\"'"}) == {"count": 1, "name": "|;\"'"}

    old.role("schema", handler, former)
    after = serve(settings)
    after.browser = before.browser
    for turn in range(2, 8):
        seen = (after, before)[turn % 2].session(count="1")
        assert seen == {"count": turn, "name": "|;\"'"}, "both handlers see what the other wrote"
    begun = serve(settings)
    assert begun.session(count="1") == {"count": 1}
    before.browser, mine = begun.browser, before.browser
    assert before.session(count="1") == {"count": 2}, "a session that the new handler began goes on in the old one"
    before.browser = mine

    held = after.during(count="1")
    old.role("take_over", handler, former)
    held()
    assert after.session(count="1") == {"count": 9, "name": "|;\"'"}, "the request in flight counts too"
    assert begun.session(count="1") == {"count": 3}
    assert not old.tables() & {former["table"], "lamp_session_former", "lamp_session_check"}
    final = serve(mysql_settings(old.server, old.name, handler=handler))
    final.browser = after.browser
    assert final.session(count="1") == {"count": 10, "name": "|;\"'"}
    assert (after.errors, begun.errors, final.errors) == ("", "", "")


def test_rows_of_one_variable_become_one_and_expired_sessions_none(old: Database, serve: Callable[..., Site]) -> None:
    old.query(VARIABLE_TABLE)
    live, dead = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
    old.query(f"""INSERT INTO `session values` VALUES
        ('{live}', 'a', 'i:1;', NOW() + INTERVAL 100 SECOND), ('{live}', 'a', 'i:3;', NOW() + INTERVAL 300 SECOND),
        ('{live}', 'a', 'i:2;', NOW() + INTERVAL 200 SECOND), ('{live}', 'b', 's:1:"x";', NOW() - INTERVAL 9 SECOND),
        ('{dead}', 'a', 'i:1;', NOW() - INTERVAL 9 SECOND)""")
    shop = serve(mysql_settings(old.server, old.name, handler="mysql_variable", former=VARIABLE))
    shop.present(live)
    assert shop.session() == {"a": 3, "b": "x"}
    create_tables(old.server, old.name)
    old.role("take_over", "mysql_variable", VARIABLE)
    assert "changed=0" in old.role("take_over", "mysql_variable", VARIABLE)
    assert shop.session() == {"a": 3, "b": "x"}
    assert old.query("SELECT COUNT(*) FROM lamp_session") == [(1,)]
    shop.present(dead)
    assert shop.session() == []
    assert shop.errors == ""


def test_requests_wait_while_the_table_is_copied_and_no_longer_than_they_may(
    old: Database, serve: Callable[..., Site]
) -> None:
    old.query(SESSION_TABLE)
    create_tables(old.server, old.name)
    shop = serve(mysql_settings(old.server, old.name, handler="mysql", former=SESSION, lock_timeout=1))
    shop.get(count="1")
    old.query("RENAME TABLE sessions TO lamp_session_former")
    assert shop.session(count="1") == {"count": 1}, "an empty session, which is not written"
    assert "still being copied" in shop.errors
    old.query("RENAME TABLE lamp_session_former TO sessions")
    assert shop.session(count="1") == {"count": 2}


def test_a_table_that_the_handler_cannot_use_is_refused(old: Database) -> None:
    with pytest.raises(AssertionError, match="Set session_store_handler to mysql_variable"):
        old.role("schema", "mysql", VARIABLE)
    assert old.tables() == set()


def test_tables_that_were_made_by_hand_get_their_version(old: Database, serve: Callable[..., Site]) -> None:
    create_tables(old.server, old.name)
    shop = serve(mysql_settings(old.server, old.name, handler="mysql"))
    shop.get(count="1")
    old.role("schema", "mysql", {})
    assert old.query("SELECT COUNT(*) FROM lamp_changelog")[0][0] == len(list((FILES / "deltas").glob("*.sql")))
    assert shop.session(count="1") == {"count": 2}
