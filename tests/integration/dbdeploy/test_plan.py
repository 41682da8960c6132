# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: it says what the run does, what that does to tables, and touches nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.outlook import INDEX, INSTANT, REBUILD, Outlook
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.session import Session
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import Statement
from ansible_collections.lamp.cluster.plugins.module_utils._mysql import Flavour

from tests.support.deltas import TABLE, Folder
from tests.support.servers.mariadb import MariaDB

ITEM = (
    "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(20), price DECIMAL(9,2), note TEXT, kind INT,"
    " KEY by_kind (kind)) ENGINE=InnoDB"
)
CHANGES = {
    "ADD extra INT": INSTANT,
    "ADD COLUMN extra ENUM('a','b(,') NOT NULL DEFAULT 'a' AFTER id": INSTANT,
    "ADD extra DECIMAL(9,2) FIRST, ADD more VARCHAR(3) COMMENT 'KEY, (x'": INSTANT,
    "ADD COLUMN IF NOT EXISTS extra TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP": INSTANT,
    "DROP COLUMN note": INSTANT,
    "DROP `price`, ADD extra INT": INSTANT,
    "ALTER COLUMN name SET DEFAULT 'x'": INSTANT,
    "RENAME COLUMN name TO title": INSTANT,
    "RENAME INDEX by_kind TO of_kind": INSTANT,
    "COMMENT = 'items'": INSTANT,
    "ADD INDEX by_name (name)": INDEX,
    "ADD UNIQUE KEY by_price (price, id)": INDEX,
    "DROP INDEX by_kind, ADD KEY again (kind)": INDEX,
    "ADD extra INT, ADD KEY by_name (name)": REBUILD,
    "ENGINE=InnoDB": REBUILD,
    "MODIFY kind BIGINT": REBUILD,
    "CHANGE name title CHAR(9)": REBUILD,
    "ADD extra INT AUTO_INCREMENT UNIQUE": REBUILD,
    "ADD extra INT AS (id + 1) STORED": REBUILD,
    "DROP PRIMARY KEY": REBUILD,
    "ADD extra INT, ROW_FORMAT=COMPACT": REBUILD,
    "CONVERT TO CHARACTER SET latin1": REBUILD,
    "FORCE": REBUILD,
    "ADD extra CHAR(36) DEFAULT (UUID())": REBUILD,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_said_of_alter_table_is_what_the_server_does(deltas: Folder, change: str) -> None:
    deltas.rows(ITEM)
    deltas.rows("INSERT INTO item SELECT seq, 'a', 1, 'b', 1 FROM seq_1_to_20")
    sql = f"ALTER TABLE item {change}"
    with deltas.server.connect(deltas.database) as connection:
        outlook = Outlook(Session(connection, lambda: connection, packets=True, compound=True), Flavour.of(connection))
        (said,) = outlook.changes(Statement(sql, 1))
        assert (said.effect, said.table) == (CHANGES[change], "item")
    algorithm = {INSTANT: "INSTANT", INDEX: "NOCOPY", REBUILD: "NOCOPY"}[said.effect]
    if said.effect == REBUILD:
        with pytest.raises(pymysql.err.MySQLError):
            deltas.rows(f"{sql}, ALGORITHM={algorithm}")
    else:
        deltas.rows(f"{sql}, ALGORITHM={algorithm}")


def test_the_plan_shows_statements_their_effect_and_their_undo(deltas: Folder) -> None:
    deltas.rows(ITEM)
    deltas.rows("INSERT INTO item SELECT seq, 'a', 1, 'b', 1 FROM seq_1_to_20")
    deltas.rows("ANALYZE TABLE item")
    deltas.write(
        _1_more="-- @DROP-SESSIONS\nALTER TABLE item ADD extra INT;\nUPDATE item SET extra = 1;\n"
        "CREATE INDEX by_name ON item (name);\n-- @UNDO\nALTER TABLE item\n  DROP extra;",
        _2_less="ALTER TABLE item MODIFY kind BIGINT;\nTRUNCATE item;\nDROP TABLE IF EXISTS nowhere;",
    )
    plan = deltas.here(check=True, diff=True)
    assert plan["diff"]["prepared"] == (
        "-- apply 1_more.sql; drops sessions\n"
        "-- online: changes only the definition of item (ALGORITHM=INSTANT)\n"
        "ALTER TABLE item ADD extra INT;\n"
        "UPDATE item SET extra = 1;\n"
        "-- changes an index of item, about 20 rows, without a rebuild\n"
        "CREATE INDEX by_name ON item (name);\n"
        "-- to undo 1_more.sql:\n--   ALTER TABLE item\n--     DROP extra;\n"
        "-- apply 2_less.sql; cannot be undone\n"
        "-- rebuilds item, about 20 rows\n"
        "ALTER TABLE item MODIFY kind BIGINT;\n"
        "-- removes about 20 rows of item\n"
        "TRUNCATE item;\n"
        "DROP TABLE IF EXISTS nowhere;\n"
        "-- record a session drop: 1_more.sql\n"
    )
    assert plan["table_changes"][0] == {"number": 1, "statement": 1, "table": "item", "effect": "instant", "rows": 20}
    done = deltas.here(diff=True)
    assert {key: plan[key] for key in ("diff", "table_changes", "pending")} == {
        key: done[key] for key in ("diff", "table_changes", "pending")
    }


@pytest.mark.parametrize(
    ("sql", "effect", "rows"),
    [
        ("ALTER TABLE kept DROP PARTITION low, `Mid`", "removal", 15),
        ("ALTER TABLE kept DROP PARTITION IF EXISTS low", "removal", 5),
        ("ALTER TABLE kept TRUNCATE PARTITION ALL", "removal", 20),
        ("CREATE OR REPLACE TABLE kept (n INT)", "removal", 20),
        ("ALTER TABLE kept REBUILD PARTITION low", "rebuild", 20),
        ("ALTER TABLE kept ADD b INT, ALGORITHM=COPY", "rebuild", 20),
        ("ALTER TABLE kept ADD b INT, ALGORITHM=INPLACE, LOCK=NONE", "instant", 20),
    ],
)
def test_the_plan_tells_which_rows_go_and_a_copy_that_is_asked_for(
    deltas: Folder, sql: str, effect: str, rows: int
) -> None:
    deltas.rows(
        "CREATE TABLE kept (n INT) PARTITION BY RANGE (n) (PARTITION low VALUES LESS THAN (6),"
        " PARTITION mid VALUES LESS THAN (16), PARTITION high VALUES LESS THAN MAXVALUE)"
    )
    deltas.rows("INSERT INTO kept SELECT seq FROM seq_1_to_20")
    deltas.rows("ANALYZE TABLE kept")
    deltas.write(_1_less=f"{sql};")
    (change,) = deltas.here(check=True)["table_changes"]
    assert change == {"number": 1, "statement": 1, "table": "kept", "effect": effect, "rows": rows}


def test_the_plan_names_each_table_that_one_statement_drops(deltas: Folder) -> None:
    for number, name in enumerate(("first", "second", "the third"), start=1):
        deltas.rows(f"CREATE TABLE `{name}` (n INT)")
        deltas.rows(f"INSERT INTO `{name}` SELECT seq FROM seq_1_to_{number}")
        deltas.rows(f"ANALYZE TABLE `{name}`")
    deltas.write(_1_less="DROP TABLE IF EXISTS first, nowhere, second, `the third` CASCADE;")
    gone = [(change["table"], change["rows"]) for change in deltas.here(check=True)["table_changes"]]
    assert gone == [("first", 1), ("second", 2), ("the third", 3)]


FAILS = "ALTER TABLE nowhere ADD n INT;\n"
DROPS = "DROP TABLE kind, nowhere;\n"  # fails, and nobody knows whether kind is gone
KEEPS = f"SELECT 1 INTO @a;\n{FAILS}"


@pytest.mark.parametrize(
    ("begun", "mended", "options", "code"),
    [
        (DROPS, DROPS, {}, "dbdeploy_unknown_outcome"),
        (DROPS, DROPS, {"on_unknown": "skip"}, None),
        (f"CREATE TABLE b (n INT);\n{FAILS}", "CREATE TABLE c (n INT);\n", {}, "dbdeploy_done_part_changed"),
        (KEEPS, "SELECT 1 INTO @a;\nDO @a;\n", {}, "dbdeploy_session_lost"),
        (KEEPS, "SELECT 1 INTO @a;\nDO @a;\n", {"on_unknown": "retry"}, None),
    ],
)
def test_the_plan_says_where_a_run_that_goes_on_would_be_refused(
    deltas: Folder, begun: str, mended: str, options: dict[str, Any], code: str | None
) -> None:
    deltas.rows("CREATE TABLE kind (n INT)")
    deltas.write(_1_more=begun)
    assert deltas.here()["failed"]
    deltas.write(_1_more=f"{mended}DO 2;\n-- @UNDO\nDO 3;")
    planned = deltas.run(check=True, diff=True, **options)
    refused = "a run is refused here" in planned["diff"]["prepared"]
    assert (refused, len(planned.get("warnings", []))) == (code is not None, int(code is not None)), planned
    result = deltas.here(**options)
    assert result.get("error_code") == code
    if code:
        assert all(
            f"-- a run is refused here: {line}\n" in planned["diff"]["prepared"] for line in result["msg"].split("\n")
        )
    else:
        number = result["applied"][0]["resumed_at"] + 1
        assert f"1_more.sql; resumes at statement {number}\n" in planned["diff"]["prepared"]


@pytest.fixture()
def watched(mariadb: MariaDB) -> Iterator[MariaDB]:
    """The server, writing down what it is asked."""
    mariadb.query("SET GLOBAL log_output = 'TABLE'")
    mariadb.query("TRUNCATE mysql.general_log")
    mariadb.query("SET GLOBAL general_log = 1")
    yield mariadb
    mariadb.query("SET GLOBAL general_log = 0")
    mariadb.query("SET GLOBAL log_output = 'FILE'")


@pytest.mark.parametrize("state", ["applied", "undone", "baselined", "sessions_dropped"])
def test_check_mode_only_reads(deltas: Folder, watched: MariaDB, state: str) -> None:
    deltas.rows(ITEM)
    deltas.write(_1_item=TABLE.replace("item", "other") + "-- @DROP-SESSIONS\n-- @UNDO\nDROP TABLE other;")
    if state != "baselined":
        assert not deltas.here().get("failed")
    deltas.write(_2_more="ALTER TABLE item ADD extra INT;", _3_sets="SET @a = 1;\nINSERT INTO item (id) VALUES (1);")
    before = watched.dump(deltas.database)
    deltas.rows("CREATE USER planner@'127.0.0.1' IDENTIFIED BY 'secret-word'")
    try:
        deltas.rows(f"GRANT SELECT ON `{deltas.database}`.* TO planner@'127.0.0.1'")
        plan = deltas.here(
            check=True, diff=True, state=state, to=0 if state == "undone" else None, drop_tags=["r"],
            login_user="planner", login_password="secret-word",
        )  # fmt: skip
    finally:
        deltas.rows("DROP USER planner@'127.0.0.1'")
    assert plan["changed"] is True, plan
    asked = [
        text for (text,) in deltas.rows(
            "SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE command_type = 'Query'"
            " AND user_host LIKE 'planner%'"
        )
    ]  # fmt: skip
    allowed = ("SELECT ", "SHOW ", "SET AUTOCOMMIT", "SET NAMES", "SET SESSION lock_wait_timeout")
    assert len(asked) > 3
    assert [text for text in asked if not text.startswith(allowed) or "_LOCK(" in text] == []
    assert watched.dump(deltas.database) == before
