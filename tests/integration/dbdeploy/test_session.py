# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a delta kept in its session, when it goes on in another one: said again, asked about, never guessed at."""

from __future__ import annotations

import pytest

from tests.support.deltas import Folder

FAILS = "ALTER TABLE item DROP COLUMN nowhere;\n"


@pytest.mark.parametrize(
    ("first", "column", "value"),
    [
        ("SET STATEMENT max_statement_time = 9 FOR UPDATE item SET n = n + 1;\n", "n", 1),
        ("SET STATEMENT max_statement_time = 9 FOR ALTER TABLE item ADD extra INT DEFAULT 3;\n", "extra", 3),
    ],
)
def test_what_runs_under_settings_of_its_own_is_not_run_again(
    deltas: Folder, first: str, column: str, value: int
) -> None:
    deltas.rows("CREATE TABLE item (id INT PRIMARY KEY, n INT)")
    deltas.rows("INSERT INTO item VALUES (1, 0)")
    deltas.write(_1_more=f"{first}{FAILS}")
    assert deltas.here()["failed_delta"]["statement"] == 2
    deltas.write(_1_more=f"{first}DO 1;\n")
    resumed = deltas.here()
    assert not resumed.get("failed"), resumed
    assert resumed["applied"][0]["resumed_at"] == 1
    assert deltas.rows(f"SELECT {column} FROM item") == [(value,)]


@pytest.mark.parametrize(
    ("kept", "used"),
    [
        ("SELECT MAX(id) INTO @maxId FROM item;\n", "UPDATE item SET n = @maxid;\n"),
        ("SELECT MAX(id) INTO @m FROM item;\nSET @`top` = @m;\n", "UPDATE item SET n = @top;\n"),
        ("INSERT INTO counted (n) VALUES (1);\n", "UPDATE item SET n = LAST_INSERT_ID();\n"),
        (
            "CREATE TEMPORARY TABLE keepers (id INT);\nINSERT INTO keepers SELECT id FROM item;\n",
            "DELETE item FROM item LEFT JOIN keepers USING (id) WHERE keepers.id IS NULL;\n",
        ),
    ],
)
def test_what_is_gone_is_asked_about_and_never_had_by_writing_twice(deltas: Folder, kept: str, used: str) -> None:
    deltas.rows("CREATE TABLE item (id INT PRIMARY KEY, n INT)")
    deltas.rows("CREATE TABLE counted (id INT PRIMARY KEY AUTO_INCREMENT, n INT)")
    deltas.rows("INSERT INTO item VALUES (1, 0), (2, 0)")
    deltas.write(_1_more=f"{kept}{FAILS}")
    assert deltas.here()["error_code"] == "dbdeploy_statement_failed"
    deltas.write(_1_more=f"{kept}{used}")
    asked = deltas.here()
    assert asked["error_code"] == "dbdeploy_session_lost", asked
    assert deltas.rows("SELECT id, n FROM item") == [(1, 0), (2, 0)]
    writes = "INSERT" in kept
    refused = deltas.here(on_unknown="retry")
    assert refused.get("error_code") == ("dbdeploy_session_lost" if writes else None), refused
    assert ("retry" in asked["msg"], "name its value there" in asked["msg"]) == (not writes, writes)
    assert deltas.rows("SELECT n FROM item") == ([(0,), (0,)] if writes else [(2,), (2,)])
    assert len(deltas.rows("SELECT * FROM counted")) <= 1
    if writes:  # as the message says: what did not run yet makes it anew
        deltas.write(_1_more=f"{kept}CREATE TEMPORARY TABLE keepers AS SELECT id FROM item;\nUPDATE item SET n = 2;\n")
        assert not deltas.here().get("failed")


@pytest.mark.parametrize("on_unknown", ["fail", "skip"])
def test_the_end_of_what_is_gone_is_left_out(deltas: Folder, on_unknown: str) -> None:
    deltas.rows("CREATE TABLE item (id INT PRIMARY KEY)")
    adds = "SET @sql = 'ALTER TABLE item ADD n INT';\nPREPARE s FROM @sql;\nEXECUTE s;\nDEALLOCATE PREPARE s;\n"
    if on_unknown == "skip":
        deltas.rows("ALTER TABLE item ADD n INT")  # so that EXECUTE fails
    deltas.write(_1_more=f"{adds}INSERT INTO nowhere VALUES (1);\n")
    assert deltas.here()["failed"]
    deltas.write(_1_more=f"{adds}INSERT INTO item VALUES (1, 2);\n")
    result = deltas.here(on_unknown=on_unknown)
    assert not result.get("failed"), result
    assert deltas.rows("SELECT id, n FROM item") == [(1, 2)]


# Statements of which the last is a deadlock's victim, and the rows that are left; none where it is not begun again.
BEGUN_AGAIN: dict[str, tuple[str, list[tuple[int, int]]]] = {
    "a counter": (
        "SET @p := 0;\nALTER TABLE item ADD pos INT;\nUPDATE item SET pos = (@p := @p + 1) ORDER BY id;\n",
        [(1, 1), (2, 2)],
    ),
    "a temporary table": (
        "CREATE TEMPORARY TABLE kept AS SELECT 7 AS n;\nUPDATE item SET n = 5 WHERE id = 1;\n"
        "UPDATE item SET n = (SELECT n FROM kept) WHERE id = 2;\n",
        [(1, 5), (2, 7)],
    ),
    "a value of the database": (
        "SELECT COUNT(*) INTO @c FROM item;\nALTER TABLE item ADD pos INT;\nUPDATE item SET pos = (@c := @c + 1);\n",
        [],
    ),
}


@pytest.mark.parametrize("kind", BEGUN_AGAIN)
def test_a_delta_begun_again_after_a_deadlock_finds_a_session_like_the_first(deltas: Folder, kind: str) -> None:
    text, left = BEGUN_AGAIN[kind]
    deltas.rows("CREATE TABLE item (id INT PRIMARY KEY, n INT) ENGINE=InnoDB")
    deltas.rows("INSERT INTO item VALUES (1, 0), (2, 0)")
    deltas.rows("CREATE SEQUENCE tries")  # which no rollback takes back
    deltas.rows(
        "CREATE TRIGGER victim BEFORE UPDATE ON item FOR EACH ROW IF NEW.id = 2 AND NEXTVAL(tries) = 1 THEN"
        " SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'deadlock'; END IF"
    )
    deltas.write(_1_more=text)
    result = deltas.here()
    if left:
        assert not result.get("failed"), result
        assert result["applied"][0]["retries"] == 1
        assert deltas.rows(f"SELECT id, {'pos' if 'pos' in text else 'n'} FROM item") == left
    else:
        assert result["failed_delta"]["error"] == 1213
        assert deltas.here()["error_code"] == "dbdeploy_session_lost"
