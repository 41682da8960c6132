# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transaction that deltas run in, and the records beside it: what the run asks is no part of theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.deltas import TABLE, Folder

READ_COMMITTED = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;\n"


@pytest.mark.parametrize("before", ["", "SET @a = 1;\nCREATE TABLE other (a INT);\n"])
def test_a_delta_may_choose_the_isolation_of_its_transaction(deltas: Folder, before: str) -> None:
    deltas.write(_1_item=TABLE)
    deltas.here()
    deltas.write(_2_row=f"{before}{READ_COMMITTED}INSERT INTO item VALUES (1, 'a');")
    result = deltas.here()
    assert not result.get("failed"), result
    deltas.write(_3_row=f"{READ_COMMITTED}INSERT INTO item VALUES (2, 'b');")
    assert not deltas.here().get("failed")
    assert deltas.rows("SELECT id FROM item") == [(1,), (2,)]


def test_a_partition_is_exchanged_although_its_rows_are_looked_at(deltas: Folder, tmp_path: Path) -> None:
    deltas.rows("CREATE TABLE kept (n INT) PARTITION BY RANGE (n) (PARTITION low VALUES LESS THAN (10))")
    deltas.rows("CREATE TABLE row_of (n INT)")
    deltas.rows("INSERT INTO row_of VALUES (5)")
    exchange = "ALTER TABLE kept EXCHANGE PARTITION low WITH TABLE row_of;"
    deltas.write(_1_more=f"INSERT INTO row_of VALUES (6);\n{exchange}\nINSERT INTO row_of VALUES (7);")
    result = deltas.here()
    assert not result.get("failed"), result
    assert deltas.rows("SELECT n FROM kept ORDER BY n") == [(5,), (6,)]
    deltas.write(_2_back=f"{exchange}\nDELETE FROM nowhere;")
    assert deltas.here(lock_wait_timeout=1)["failed_delta"]["statement"] == 2
    deltas.write(_2_back=exchange)
    assert not deltas.here().get("failed")
    deltas.write(_3_again=exchange)
    script = tmp_path / "do.sql"
    deltas.here(output_file=str(script))
    assert deltas.server.client(script.read_text(), deltas.database).returncode == 0
    assert deltas.rows("SELECT n FROM kept ORDER BY n") == [(5,), (6,)]


@pytest.mark.parametrize(("reads", "tries"), [("", 0), ("SELECT COUNT(*) FROM item;\n", 1)])
def test_a_row_that_somebody_changes_meanwhile_does_not_end_the_run(deltas: Folder, reads: str, tries: int) -> None:
    deltas.write(_1_item=TABLE + "INSERT INTO item VALUES (1, 'a'), (2, 'b');")
    deltas.here()
    deltas.write(_2_all=f"{reads}UPDATE item SET name = CONCAT(name, '!');")
    ((before,),) = deltas.rows("SELECT @@GLOBAL.innodb_snapshot_isolation")
    deltas.rows("SET GLOBAL innodb_snapshot_isolation = 1")
    try:
        with deltas.server.connect(deltas.database, autocommit=False) as other, deltas.victim() as run:
            other.query("UPDATE item SET name = 'c' WHERE id = 2")
            run.waits_at("UPDATE item SET name = CONCAT")
            other.commit()
            result = run.result()
    finally:
        deltas.rows(f"SET GLOBAL innodb_snapshot_isolation = {before}")
    assert not result.get("failed"), result
    assert result["applied"][0]["retries"] == tries
    assert deltas.rows("SELECT name FROM item ORDER BY id") == [("a!",), ("c!",)]


def test_no_connection_of_a_run_is_closed_while_another_one_works(deltas: Folder) -> None:
    deltas.rows("CREATE TABLE seen (n INT)")
    sees = "INSERT INTO seen SELECT @@wait_timeout;"
    deltas.write(_1_sees=sees, _2_sets="SET @a = 1;", _3_sees=sees)
    deltas.rows("SET GLOBAL wait_timeout = 5")
    try:
        result = deltas.here()
    finally:
        deltas.rows("SET GLOBAL wait_timeout = DEFAULT")
    assert not result.get("failed"), result
    assert deltas.rows("SELECT n FROM seen") == [(28800,), (28800,)]


def test_a_statement_that_is_too_large_for_the_server_is_named(deltas: Folder) -> None:
    deltas.rows("CREATE TABLE image (b LONGTEXT)")
    deltas.write(_1_small="INSERT INTO image VALUES ('a');", _2_big=f"INSERT INTO image VALUES ('{'b' * 1200000}');")
    deltas.rows("SET GLOBAL max_allowed_packet = 1048576")
    try:
        result = deltas.here()
    finally:
        deltas.rows("SET GLOBAL max_allowed_packet = DEFAULT")
    assert result["error_code"] == "dbdeploy_connection_lost"
    assert "2_big.sql, line 1 (statement 1)" in result["msg"], result
    assert "max_allowed_packet" in result["msg"]
    assert "records" not in result["msg"]


@pytest.mark.parametrize("undo", ["ALTER TABLE item DROP COLUMN nowhere;", "DELETE FROM nowhere;"])
def test_an_undo_that_did_nothing_leaves_the_records_as_they_were(deltas: Folder, undo: str) -> None:
    deltas.write(_1_item=f"{TABLE}-- @UNDO\n{undo}")
    deltas.here()
    before = deltas.rows("SELECT * FROM changelog_state")
    assert deltas.here(state="undone", to=0)["failed_delta"]["statement"] == 1
    assert deltas.rows("SELECT * FROM changelog_state") == before
    deltas.write(_1_item=f"{TABLE.replace('20', '30')}-- @UNDO\n{undo}")
    assert deltas.here()["error_code"] == "dbdeploy_changed"


def test_records_that_may_not_be_made_are_told_before_anything_took_effect(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE)
    deltas.here()
    deltas.rows("CREATE OR REPLACE USER maker@'127.0.0.1'")
    deltas.rows(f"GRANT SELECT, INSERT, UPDATE, DELETE, ALTER ON `{deltas.database}`.* TO maker@'127.0.0.1'")
    deltas.write(_2_more="-- @DROP-SESSIONS\nALTER TABLE item ADD extra INT;")
    result = deltas.here(login_user="maker", login_password="")
    deltas.rows("DROP USER maker@'127.0.0.1'")
    assert (result["error_code"], result["database_changed"]) == ("dbdeploy_records", False), result
