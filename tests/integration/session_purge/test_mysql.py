# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in tables: this collection's own, those of frameworks, and what selects among them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.sql import Table

from tests.integration.session_purge.database import Database
from tests.support.modules import ROOT, run_module
from tests.support.purge import purge
from tests.support.servers.mariadb import MariaDB

COUNTS = ("changed", "before", "purged", "after", "diff", "epoch")


class Tables(Database):
    """A database, and purges in it."""

    def number(self, table: str) -> int:
        return int(self.sql(f"SELECT COUNT(*) FROM {table}")[0][0])

    def names(self) -> set[str]:
        return {name for (name,) in self.sql("SHOW TABLES")}

    @property
    def epoch(self) -> int:
        return int(self.sql("SELECT epoch FROM lamp_session_epoch WHERE name = 'lamp_session'")[0][0])

    def make_own(self) -> None:
        """This collection's own tables, with the sessions alice, bob and carol, and somebody else's epoch."""
        for delta in sorted((ROOT / "roles" / "session_store" / "files" / "deltas").glob("*.sql")):
            done = self.server.client(delta.read_text().split("-- //@UNDO")[0], self.database)
            assert done.returncode == 0, done.stderr
        self.sql("INSERT INTO lamp_session_epoch VALUES ('another_store', 40)")
        for name in ("alice", "bob", "carol"):
            self.sql(
                "INSERT INTO lamp_session (id, data, epoch, created_at, updated_at, expires_at)"
                f" VALUES (UNHEX(SHA2('{name}', 256)), 'x', 1, 0, UNIX_TIMESTAMP(), UNIX_TIMESTAMP() + 900)"
            )
            self.sql(
                "INSERT INTO lamp_session_variable VALUES"
                f" (UNHEX(SHA2('{name}', 256)), UNHEX(SHA2('v', 256)), 'v', '1', UNIX_TIMESTAMP())"
            )

    def purge(self, **options: Any) -> dict[str, Any]:
        return purge("mysql", **{"login_db": self.database, **self.server.login, **options})

    def run(self, *, check: bool = False, diff: bool = False, **options: Any) -> Any:
        """The same by the module itself."""
        arguments = {"store": "mysql", "login_db": self.database, **self.server.login, **options}
        return run_module("session_purge", arguments, check=check, diff=diff)


@pytest.fixture()
def tables(mariadb: MariaDB, database: str) -> Tables:
    return Tables(mariadb, database)


@pytest.fixture()
def own(tables: Tables) -> Tables:
    tables.make_own()
    return tables


def test_the_plan_is_what_the_run_does(own: Tables) -> None:
    plan = own.run(check=True, diff=True)
    assert (own.number("lamp_session"), own.epoch) == (3, 1)
    done = own.run(diff=True)
    assert {key: plan[key] for key in COUNTS} == {key: done[key] for key in COUNTS}
    assert done["diff"]["before"] == "mysql lamp_session: 3 sessions\n"
    assert (done["before"], done["purged"], done["after"], done["exact"]) == (3, 3, 0, True)
    assert (own.number("lamp_session"), own.number("lamp_session_variable"), own.epoch) == (0, 0, 2)
    assert own.sql("SELECT epoch FROM lamp_session_epoch WHERE name = 'another_store'") == [(40,)]


def test_the_epoch_of_an_empty_table_is_raised_for_requests_in_flight_may_be_about_to_write(own: Tables) -> None:
    own.sql("DELETE FROM lamp_session")
    own.sql("DELETE FROM lamp_session_variable")
    done = own.purge()
    assert (done["changed"], done["purged"], done["epoch"], own.epoch) == (True, 0, 2, 2)


def test_without_its_row_the_epoch_cannot_be_raised_and_nothing_is_purged(own: Tables) -> None:
    own.sql("DELETE FROM lamp_session_epoch WHERE name = 'lamp_session'")
    result = own.run()
    assert result["error_code"] == "session_purge_no_epoch"
    assert own.number("lamp_session") == 3


def test_variables_that_no_session_holds_go_too(own: Tables) -> None:
    own.sql("DELETE FROM lamp_session")
    assert own.purge(check=True)["changed"]
    own.purge()
    assert own.number("lamp_session_variable") == 0


def test_a_purge_of_some_leaves_the_epoch_and_the_variables_of_the_others(own: Tables) -> None:
    done = own.purge(where="id <> UNHEX(SHA2('bob', 256))")
    assert (done["before"], done["purged"], done["after"], own.epoch) == (3, 2, 1, 1)
    bob = hashlib.sha256(b"bob").digest()
    assert own.sql("SELECT id FROM lamp_session") == [(bob,)]
    assert own.sql("SELECT session_id FROM lamp_session_variable") == [(bob,)]


@pytest.mark.parametrize("on_lock", ["delete", "swap"])
def test_who_is_kept_by_cookie_is_taken_along_into_the_new_epoch(own: Tables, on_lock: str) -> None:
    done = own.purge(keep_ids=["bob", "nobody"], on_lock=on_lock)
    assert (done["before"], done["purged"], done["after"]) == (3, 2, 1)
    bob = hashlib.sha256(b"bob").digest()
    assert own.sql("SELECT id, epoch FROM lamp_session") == [(bob, own.epoch)]
    assert own.sql("SELECT session_id FROM lamp_session_variable") == [(bob,)]
    assert own.epoch == 2


@pytest.mark.parametrize("number", [1213, 3101, 1180], ids=["a Galera node", "a member of a group", "at the COMMIT"])
def test_a_conflict_takes_back_the_epoch_and_who_was_taken_along_and_both_are_tried_again(
    own: Tables, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    query = Table.query
    refused: list[str] = []

    def conflict(self: Table, sql: str) -> list[tuple[Any, ...]]:
        if sql == "COMMIT" and not refused:
            refused.append(sql)
            query(self, "ROLLBACK")
            raise LampError("session_purge_failed", "another wrote the same row first", server_error=number)
        return query(self, sql)

    monkeypatch.setattr(Table, "query", conflict)
    assert own.purge(keep_ids=["bob"])["epoch"] == 2
    assert (refused, own.epoch, own.sql("SELECT epoch FROM lamp_session")) == (["COMMIT"], 2, [(2,)])


@pytest.mark.parametrize("table", ["lamp_session", "lamp_session_variable"])
def test_a_table_that_cannot_be_exchanged_is_found_out_before_the_epoch_ends_anything(own: Tables, table: str) -> None:
    own.sql(f"CREATE TRIGGER t BEFORE DELETE ON {table} FOR EACH ROW SET @gone = 1")
    for check in (True, False):
        with pytest.raises(LampError, match=f"The table {table} cannot be exchanged") as raised:
            own.purge(on_lock="swap", check=check)
        assert raised.value.code == "session_purge_cannot_swap"
    assert (own.epoch, own.number("lamp_session")) == (1, 3)


def test_tables_of_another_database_are_named_with_it(own: Tables) -> None:
    done = own.purge(login_db="mysql", table=f"{own.database}.lamp_session")
    assert (done["purged"], own.epoch, own.number("lamp_session_variable")) == (3, 2, 0)


NOW = "UNIX_TIMESTAMP()"
PRESETS = {
    "symfony": (
        "CREATE TABLE sessions (sess_id VARBINARY(128) PRIMARY KEY, sess_data BLOB NOT NULL,"
        " sess_lifetime INT UNSIGNED NOT NULL, sess_time INT UNSIGNED NOT NULL)",
        f"('old', '', 0, {NOW} - 7200), ('new', '', 0, {NOW}), ('admin', '', 0, {NOW})",
    ),
    "laravel": (
        "CREATE TABLE sessions (id VARCHAR(255) PRIMARY KEY, user_id BIGINT UNSIGNED, ip_address VARCHAR(45),"
        " user_agent TEXT, payload LONGTEXT NOT NULL, last_activity INT NOT NULL)",
        f"('old', 2, '', '', '', {NOW} - 7200), ('new', NULL, '', '', '', {NOW}), ('admin', 1, '', '', '', {NOW})",
    ),
    "drupal": (
        "CREATE TABLE sessions (uid INT UNSIGNED NOT NULL, sid VARCHAR(128) CHARACTER SET ascii PRIMARY KEY,"
        " hostname VARCHAR(128), timestamp INT, session LONGBLOB)",
        f"(2, 'old', '', {NOW} - 7200, ''), (0, 'new', '', {NOW}, ''), (1, '{{admin}}', '', {NOW}, '')",
    ),
    "roundcube": (
        "CREATE TABLE session (sess_id VARCHAR(128) PRIMARY KEY, changed DATETIME NOT NULL, ip VARCHAR(40),"
        " vars MEDIUMTEXT NOT NULL)",
        "('old', NOW() - INTERVAL 2 HOUR, '', ''), ('new', NOW(), '', ''), ('admin', NOW(), '', '')",
    ),
    "magento": (
        "CREATE TABLE session (session_id VARCHAR(255) PRIMARY KEY, session_expires INT UNSIGNED,"
        " session_data MEDIUMBLOB)",
        f"('old', {NOW} - 7200, ''), ('new', {NOW}, ''), ('admin', {NOW}, '')",
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", PRESETS)
def test_the_tables_of_frameworks_are_known(tables: Tables, layout: str) -> None:
    create, rows = PRESETS[layout]
    table = "sessions" if "TABLE sessions" in create else "session"
    hashed = base64.urlsafe_b64encode(hashlib.sha256(b"admin").digest()).decode().rstrip("=")
    insert = f"INSERT INTO {table} VALUES {rows.replace('{admin}', hashed)}"
    tables.sql(create)
    tables.sql(insert)
    aged = tables.purge(layout=layout, older_than="1h")
    assert (aged["before"], aged["purged"], aged["after"]) == (3, 1, 2)
    kept = tables.purge(layout=layout, keep_ids=["admin"])
    assert (kept["before"], kept["purged"], kept["after"]) == (2, 1, 1)
    if layout in {"laravel", "drupal"}:
        tables.sql(insert.replace("INSERT", "REPLACE"))
        assert tables.purge(layout=layout, keep_users=["1"])["after"] == 1
    assert tables.purge(layout=layout)["purged"] == 1
    assert not tables.purge(layout=layout)["changed"]


def test_what_a_layout_does_not_know_cannot_select_and_nothing_is_purged(tables: Tables) -> None:
    tables.sql("CREATE TABLE s (token CHAR(9) PRIMARY KEY, owner INT)")
    tables.sql("INSERT INTO s VALUES ('a', 1), ('b', 2)")
    result = tables.run(layout="custom", table="s", keep_users=["1"])
    assert result["error_code"] == "session_purge_cannot_select"
    assert "keep_users" in result["msg"]
    assert tables.number("s") == 2
    assert tables.purge(layout="custom", table="s", columns={"user": "owner"}, keep_users=["1"])["purged"] == 1
    assert tables.sql("SELECT token FROM s") == [("a",)]


def test_sessions_of_a_row_per_variable_are_counted_as_sessions(tables: Tables) -> None:
    tables.sql("CREATE TABLE var (session_id VARCHAR(40), name VARCHAR(40), value TEXT)")
    tables.sql("INSERT INTO var VALUES ('a', 'x', 1), ('a', 'y', 1), ('b', 'x', 1), ('c', 'x', 1)")
    done = tables.purge(layout="variables", table="var", keep_ids=["c"])
    assert (done["before"], done["purged"], done["after"]) == (3, 2, 1)
    assert tables.run(layout="variables")["error_code"] == "session_purge_no_table_named"


@pytest.mark.parametrize("options", [{}, {"on_lock": "swap", "keep_ids": ["bob"]}], ids=["all", "but one"])
def test_in_a_window_sessions_and_variables_are_put_aside_and_swept_later(own: Tables, options: dict[str, Any]) -> None:
    neighbours = {
        "lamp_session_purged_20251101",
        "lamp_session_variable_purged_december",
        "lamp_sessions_purged_bcdfghjk",
    }
    for name in neighbours:
        own.sql(f"CREATE TABLE {name} (id INT)")
    before = own.names()
    done = own.purge(leftovers="leave", **options)
    kept = len(options.get("keep_ids", ()))
    assert (done["purged"], done["after"], done["swept"]) == (3 - kept, kept, 0)
    assert (own.number("lamp_session"), own.number("lamp_session_variable")) == (kept, kept)
    aside = {name.rpartition("_")[0]: name for name in own.names() - before}
    assert aside.keys() == {"lamp_session_purged", "lamp_session_variable_purged"}
    assert [own.number(name) for name in aside.values()] == [3, 3]
    assert own.purge(leftovers="only", check=True)["swept"] == 3
    assert own.purge(leftovers="only")["swept"] == 3
    assert own.names() == before
    assert not own.purge(leftovers="only")["changed"]


def test_variables_that_were_put_aside_alone_are_swept_and_reported(own: Tables) -> None:
    own.sql("DELETE FROM lamp_session")
    before = own.names()
    own.purge(leftovers="leave")
    assert own.number("lamp_session_variable") == 0
    assert len(own.names() - before) == 1
    assert own.purge(leftovers="only")["changed"]
    assert own.names() == before


def test_in_a_window_counting_takes_a_constant_time(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.lamp.cluster.plugins.module_utils._session_stores.mysql.COUNTED", 2)
    tables.sql("CREATE TABLE s (id INT PRIMARY KEY)")
    tables.sql("INSERT INTO s VALUES (1), (2), (3)")
    done = tables.purge(layout="custom", table="s", leftovers="leave")
    assert (done["purged"], done["exact"], done["after"], tables.number("s")) == (2, False, 0, 0)


def test_counting_that_stops_early_takes_nobody_who_is_kept_for_all(
    own: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.lamp.cluster.plugins.module_utils._session_stores.mysql.COUNTED", 1)
    done = own.purge(leftovers="leave", on_lock="swap", keep_ids=["alice", "bob"])
    assert (done["purged"], done["exact"], own.number("lamp_session")) == (1, False, 2)


@pytest.mark.parametrize("leftovers", ["remove", "leave"])
def test_foreign_keys_do_not_keep_sessions(tables: Tables, leftovers: str) -> None:
    tables.sql("CREATE TABLE s (id INT PRIMARY KEY)")
    tables.sql("CREATE TABLE child (id INT, FOREIGN KEY (id) REFERENCES s (id) ON DELETE CASCADE)")
    tables.sql("INSERT INTO s VALUES (1), (2)")
    tables.sql("INSERT INTO child VALUES (1)")
    assert tables.purge(layout="custom", table="s", leftovers=leftovers)["purged"] == 2
    assert tables.number("s") == 0
    assert tables.names() == {"s", "child"}


@pytest.mark.parametrize("grants", ["", ", CREATE", ", DROP", ", CREATE, INSERT, DROP", ", ALTER, DROP"])
@pytest.mark.parametrize("leftovers", ["remove", "leave"])
def test_what_a_user_may_not_do_at_once_is_done_otherwise(
    own: Tables, monkeypatch: pytest.MonkeyPatch, grants: str, leftovers: str
) -> None:
    module = "ansible_collections.lamp.cluster.plugins.module_utils._session_stores.sql"
    monkeypatch.setattr(f"{module}.CHUNK", 2)
    own.sql("CREATE USER 'purger'@'%' IDENTIFIED BY 'purger-secret'")
    try:
        own.sql(f"GRANT SELECT, DELETE, UPDATE{grants} ON `{own.database}`.* TO 'purger'@'%'")
        before = own.names()
        done = own.purge(login_user="purger", login_password="purger-secret", leftovers=leftovers)
    finally:
        own.sql("DROP USER 'purger'@'%'")
    assert (done["purged"], own.number("lamp_session"), own.number("lamp_session_variable")) == (3, 0, 0)
    assert own.names() == before


@pytest.mark.parametrize(
    ("grants", "options", "word"),
    [
        ("SELECT", {}, "DELETE"),
        ("SELECT, UPDATE, DROP", {"keep_ids": ["a"]}, "DELETE"),
        ("SELECT, UPDATE, DROP", {}, "DELETE"),  # who will hold the table then is not known now
        ("SELECT, DELETE", {}, "UPDATE"),
        ("SELECT, DELETE, UPDATE", {}, ""),
        ("SELECT, UPDATE, DROP", {"on_lock": "wait"}, ""),
    ],
)
def test_a_user_who_may_not_remove_sessions_is_refused_when_they_are_counted(
    own: Tables, grants: str, options: dict[str, Any], word: str
) -> None:
    """Also where a deploy's deltas are to come, for they may make a table and give no rights."""
    own.sql("CREATE USER 'purger'@'%' IDENTIFIED BY 'purger-secret'")
    login = {"login_user": "purger", "login_password": "purger-secret"}
    try:
        own.sql(f"GRANT {grants} ON `{own.database}`.* TO 'purger'@'%'")
        if word:
            with pytest.raises(LampError, match=f"{word} command denied to user 'purger'") as raised:
                own.purge(**login, **options, check=True)
            assert raised.value.code == "session_purge_denied"
        else:
            assert own.purge(**login, **options, check=True)["purged"] == 3
            assert own.purge(**login, **options)["purged"] == 3
    finally:
        own.sql("DROP USER 'purger'@'%'")
    assert own.number("lamp_session") == (3 if word else 0)


def test_who_may_empty_a_table_at_once_needs_more_where_foreign_keys_point_to_it(own: Tables) -> None:
    own.sql("CREATE TABLE cart (session BINARY(32), FOREIGN KEY (session) REFERENCES lamp_session (id))")
    own.sql("CREATE USER 'purger'@'%' IDENTIFIED BY 'purger-secret'")
    try:
        own.sql(f"GRANT SELECT, UPDATE, DROP ON `{own.database}`.* TO 'purger'@'%'")
        login: dict[str, Any] = {"login_user": "purger", "login_password": "purger-secret"}
        with pytest.raises(LampError, match="DELETE command denied"):
            own.purge(**login, on_lock="wait", check=True)
        own.sql(f"GRANT DELETE ON `{own.database}`.* TO 'purger'@'%'")
        plan, done = (own.purge(**login, on_lock="wait", check=check) for check in (True, False))
        assert (plan["purged"], done["purged"], own.number("lamp_session")) == (3, 3, 0)
    finally:
        own.sql("DROP USER 'purger'@'%'")


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("leftovers", ["leave", "only"])
def test_a_server_that_is_read_only_is_refused_also_to_those_who_may_write_there(
    own: Tables, leftovers: str, check: bool
) -> None:
    """As root may on a replica, such as the primary of before is after a failover."""
    own.sql("CREATE TABLE lamp_session_purged_bcdfghjk LIKE lamp_session")
    before = own.names()
    own.sql("SET GLOBAL read_only = 1")
    try:
        with pytest.raises(LampError, match=f"root@127.0.0.1:{own.server.port} is read-only") as raised:
            own.purge(leftovers=leftovers, check=check)
    finally:
        own.sql("SET GLOBAL read_only = 0")
    assert raised.value.code == "session_purge_read_only"
    assert (own.number("lamp_session"), own.epoch, own.names()) == (3, 1, before)


def test_rows_are_deleted_in_small_steps_whatever_the_key_is(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.lamp.cluster.plugins.module_utils._session_stores.sql.CHUNK", 3)
    values = ", ".join(f"({number % 2}, 's{number:02}')" for number in range(20))
    for key in ("PRIMARY KEY (tenant, id)", "PRIMARY KEY (id, tenant)", "KEY (id)"):
        tables.sql(f"CREATE OR REPLACE TABLE s (tenant INT NOT NULL, id VARCHAR(9) NOT NULL, {key})")
        tables.sql(f"INSERT INTO s VALUES {values}")
        done = tables.purge(layout="custom", table="s", where="id NOT LIKE 's%5'")
        assert (done["before"], done["purged"], done["after"]) == (20, 18, 2)
        assert tables.sql("SELECT id FROM s ORDER BY id") == [("s05",), ("s15",)]


def test_what_is_missing_or_wrong_is_named_and_no_secret_is(own: Tables) -> None:
    cases: tuple[tuple[dict[str, Any], str, str], ...] = (
        ({"layout": "laravel", "table": "nowhere"}, "session_purge_no_table", "nowhere"),
        ({"epoch_table": "no_epoch"}, "session_purge_no_table", "no_epoch"),
        ({"where": "no_column = 1"}, "session_purge_failed", "no_column"),
        ({"older_than": "a while"}, "session_purge_bad_duration", "a while"),
    )
    for options, code, name in cases:
        result = own.run(**options, keep_ids=["the-secret-of-alice"])
        assert (result["error_code"], name in result["msg"]) == (code, True), result
        assert own.server.password not in result.output
        assert "the-secret-of-alice" not in result.output
    assert own.number("lamp_session") == 3
