# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is kept and who goes, where the table's columns could make one of the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

from tests.integration.session_purge.database import Database
from tests.support.purge import purge
from tests.support.servers.mariadb import MariaDB

NOW = "UNIX_TIMESTAMP()"


class Tables(Database):
    """A database, and purges of its table ``s``."""

    def purge(self, layout: str, **options: Any) -> dict[str, Any]:
        named = {"login_db": self.database, "table": "s", "layout": layout}
        return purge("mysql", **{**self.server.login, **named, **options})


@pytest.fixture()
def tables(mariadb: MariaDB, database: str) -> Tables:
    return Tables(mariadb, database)


@pytest.fixture()
def variables(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tables]:
    """Of three sessions one is idle, and of the others, too, an old variable."""
    monkeypatch.setattr("ansible_collections.lamp.cluster.plugins.module_utils._session_stores.sql.GROUPS", 1)
    tables.sql("CREATE TABLE s (session_id VARCHAR(40), name VARCHAR(40), owner INT, written INT)")
    tables.sql(
        f"INSERT INTO s VALUES ('idle', 'a', 1, {NOW} - 9000), ('idle', 'b', NULL, {NOW} - 8000),"
        f" ('busy', 'a', 2, {NOW} - 9000), ('busy', 'cart', NULL, {NOW}),"
        f" ('admin', 'a', 3, {NOW} - 9000), ('admin', 'b', NULL, {NOW}), (NULL, 'stray', NULL, {NOW})"
    )
    yield tables


@pytest.mark.parametrize(
    ("options", "goes"),
    [
        ({"older_than": "1h"}, {"idle"}),
        ({"where": "name = 'cart'"}, {"busy"}),
        ({"where": "name = 'a'", "keep_ids": ["idle"]}, {"busy", "admin"}),
        ({"keep_users": ["3"]}, {"idle", "busy"}),
        ({"keep_users": ["1"], "older_than": "1h"}, set()),
    ],
)
def test_of_rows_per_variable_a_session_goes_as_a_whole_or_stays_so(
    variables: Tables, options: dict[str, Any], goes: set[str]
) -> None:
    columns = {"time": "written", "user": "owner"}
    plan = variables.purge("variables", columns=columns, check=True, **options)
    done = variables.purge("variables", columns=columns, **options)
    assert plan == done
    assert (done["before"], done["purged"], done["after"]) == (3, len(goes), 3 - len(goes))
    rows = variables.sql("SELECT session_id, COUNT(*) FROM s WHERE session_id IS NOT NULL GROUP BY session_id")
    assert dict(rows) == dict.fromkeys({"idle", "busy", "admin"} - goes, 2)


@pytest.mark.parametrize("options", [{"keep_users": ["admin"]}, {"keep_ids": ["1", "admin"]}])
def test_a_name_is_not_taken_for_the_number_of_all_who_are_not_logged_in(
    tables: Tables, options: dict[str, Any]
) -> None:
    tables.sql("CREATE TABLE s (sid INT PRIMARY KEY, uid INT UNSIGNED NOT NULL)")
    tables.sql("INSERT INTO s VALUES (0, 0), (1, 1), (2, 0)")
    with pytest.raises(LampError, match="holds numbers") as raised:
        tables.purge("drupal", **options)
    assert (raised.value.code, "admin" in str(raised.value)) == ("session_purge_cannot_select", False)
    assert tables.sql("SELECT COUNT(*) FROM s") == [(3,)]
    assert tables.purge("drupal", keep_users=["1"])["after"] == 1
    assert tables.sql("SELECT uid FROM s") == [(1,)]


def test_all_but_those_to_keep_go_also_where_not_binds_closer_than_in(tables: Tables) -> None:
    tables.sql("CREATE TABLE s (sid VARCHAR(9) PRIMARY KEY, uid INT)")
    tables.sql("INSERT INTO s VALUES ('1', 1), ('2', 2)")
    before = tables.sql("SELECT @@GLOBAL.sql_mode")[0][0]
    tables.sql("SET GLOBAL sql_mode = 'HIGH_NOT_PRECEDENCE'")
    try:
        tables.purge("drupal", keep_ids=["1"])
    finally:
        tables.sql(f"SET GLOBAL sql_mode = '{before}'")
    assert tables.sql("SELECT sid FROM s") == [("1",)]


def test_an_error_in_where_shows_no_id_that_is_to_be_kept(tables: Tables) -> None:
    tables.sql("CREATE TABLE s (sid VARCHAR(40) PRIMARY KEY, uid INT)")
    with pytest.raises(LampError, match="error in your SQL syntax") as raised:
        tables.purge("drupal", keep_ids=["0123456789abcdef"], where="uid ! 1")
    assert "01234567" not in str(raised.value)


@pytest.mark.parametrize("kind", ["DATETIME", "TIMESTAMP NULL", "INT UNSIGNED", "DOUBLE", "DATETIME AS (made) VIRTUAL"])
def test_the_last_write_is_read_as_its_column_has_it_however_that_is_spelt(tables: Tables, kind: str) -> None:
    moment, stored = ("NOW()", "INTERVAL 2 HOUR") if "TIME" in kind else (NOW, "7200")
    column = "made" if "VIRTUAL" in kind else "changed"
    made = "made DATETIME, " if "VIRTUAL" in kind else ""
    tables.sql(f"CREATE TABLE s (sess_id VARCHAR(9) PRIMARY KEY, {made}Changed {kind})")
    tables.sql(f"INSERT INTO s (sess_id, {column}) VALUES ('old', {moment} - {stored}), ('new', {moment}), ('?', NULL)")
    for ages in ("3h", "9999w"):
        assert tables.purge("roundcube", older_than=ages)["purged"] == 0
    assert tables.purge("roundcube", older_than="1h")["purged"] == 1
    assert tables.sql("SELECT sess_id FROM s ORDER BY sess_id") == [("?",), ("new",)]


def test_a_column_that_holds_no_time_is_refused(tables: Tables) -> None:
    tables.sql("CREATE TABLE s (sess_id VARCHAR(9) PRIMARY KEY, changed VARCHAR(40))")
    tables.sql("INSERT INTO s VALUES ('a', '2020-01-01')")
    with pytest.raises(LampError, match="the column changed is of the type varchar, which is no time") as raised:
        tables.purge("roundcube", older_than="1h")
    assert raised.value.code == "session_purge_cannot_select"
    assert tables.sql("SELECT COUNT(*) FROM s") == [(1,)]


@pytest.mark.parametrize("shown", [False, True])
def test_a_trigger_stays_at_its_table_also_when_the_user_is_not_shown_it(tables: Tables, shown: bool) -> None:
    tables.sql("CREATE TABLE s (id VARCHAR(9) PRIMARY KEY)")
    tables.sql("INSERT INTO s VALUES ('a'), ('b')")
    tables.sql("CREATE TRIGGER audit BEFORE INSERT ON s FOR EACH ROW SET @n = 1")
    rights = "SELECT, INSERT, DELETE, CREATE, ALTER, DROP" + (", TRIGGER" if shown else "")
    tables.sql("CREATE USER 'purger'@'%' IDENTIFIED BY 'purger-secret'")
    user = {"login_user": "purger", "login_password": "purger-secret"}
    try:
        pattern = tables.database.replace("_", r"\_")
        tables.sql(f"GRANT {rights} ON `{pattern}`.* TO 'purger'@'%'")
        with pytest.raises(LampError, match="triggers"):
            tables.purge("custom", on_lock="swap", **user)
        assert tables.purge("custom", leftovers="leave", **user)["purged"] == 2
        assert [row[2] for row in tables.sql("SHOW TRIGGERS")] == ["s"]
        tables.sql("DROP TRIGGER audit")
        tables.sql("INSERT INTO s VALUES ('a')")
        tables.purge("custom", leftovers="leave", **user)
        assert len(tables.sql("SHOW TABLES")) == 1 + shown, "with the privilege it is known that there is none"
    finally:
        tables.sql("DROP USER 'purger'@'%'")
