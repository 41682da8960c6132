# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deltas that travel to the server together: what one of them does to the others."""

from __future__ import annotations

import pytest

from tests.support.deltas import TABLE, Folder, names


def test_of_deltas_that_travel_together_those_before_the_failed_one_are_applied(deltas: Folder) -> None:
    deltas.write(
        _1_item=TABLE,
        _2_row="INSERT INTO item VALUES (2, 'a');",
        _3_row="INSERT INTO item VALUES (3, 'a');\nINSERT INTO item VALUES (2, 'b');",
        _4_row="INSERT INTO item VALUES (4, 'a');",
    )
    failed = deltas.here()
    assert failed["failed_delta"] == {"number": 3, "name": "3_row.sql", "statement": 2, "error": 1062}
    assert names(failed["applied"]) == ["1_item.sql", "2_row.sql"]
    assert (deltas.applied(), deltas.rows("SELECT id FROM item")) == ([1, 2], [(2,)])
    deltas.write(_3_row="INSERT INTO item VALUES (3, 'a');")
    assert names(deltas.here()["applied"]) == ["3_row.sql", "4_row.sql"]
    assert deltas.rows("SELECT id FROM item") == [(2,), (3,), (4,)]


@pytest.mark.parametrize(
    ("ddl", "error"), [("CREATE TABLE item (id INT);", 1050), ("CREATE TABLE other (id INT,);", 1064)]
)
def test_ddl_that_fails_takes_nothing_of_the_deltas_before_it_along(deltas: Folder, ddl: str, error: int) -> None:
    deltas.write(
        _1_item="CREATE TABLE item (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20)) ENGINE=InnoDB;",
        _2_row="INSERT INTO item (name) VALUES ('two');",
        _3_row="INSERT INTO item (name) VALUES ('three');",
        _4_mixed=f"INSERT INTO item (name) VALUES ('four');\n{ddl}",
        _5_row="INSERT INTO item (name) VALUES ('five');",
    )
    failed = deltas.here()
    assert failed["failed_delta"] == {"number": 4, "name": "4_mixed.sql", "statement": 2, "error": error}
    assert names(failed["applied"]) == ["1_item.sql", "2_row.sql", "3_row.sql"]
    assert deltas.applied() == [1, 2, 3]
    deltas.write(_4_mixed="INSERT INTO item (name) VALUES ('four');\nCREATE TABLE other (id INT) ENGINE=InnoDB;")
    assert names(deltas.here()["applied"]) == ["4_mixed.sql", "5_row.sql"]
    rows = deltas.rows("SELECT id, name FROM item ORDER BY id")
    assert [name for _id, name in rows] == ["two", "three", "four", "five"]
    assert rows[:2] == [(1, "two"), (2, "three")]  # never run twice


def test_records_that_are_refused_for_one_of_several_name_it_and_hold_nothing_of_the_others_up(deltas: Folder) -> None:
    deltas.write(
        _1_item=TABLE,
        _2_row="INSERT INTO item VALUES (2, 'a');",
        _3_row="INSERT INTO changelog VALUES (4, 'Main', NOW(), NOW(), 'somebody', 'not us');",
        _4_row="INSERT INTO item VALUES (4, 'a');",
        _5_row="INSERT INTO item VALUES (5, 'a');",
    )
    failed = deltas.here()
    assert (failed["error_code"], names(failed["applied"])) == (
        "dbdeploy_records", ["1_item.sql", "2_row.sql", "3_row.sql"],
    )  # fmt: skip
    assert (deltas.applied(), deltas.rows("SELECT id FROM item")) == ([1, 2, 3, 4], [(2,)])


def test_a_delta_among_others_is_begun_again_after_a_deadlock(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE + "INSERT INTO item VALUES (1, 'a'), (2, 'a');")
    assert deltas.here()["changed"]
    other = deltas.server.connect(deltas.database, autocommit=False)
    other.query("INSERT INTO item SELECT seq, 'x' FROM seq_100_to_200")  # the server gives up the one with less to lose
    other.query("UPDATE item SET name = 'b' WHERE id = 2")
    deltas.write(
        _2_row="INSERT INTO item VALUES (3, 'a');",
        _3_rows="UPDATE item SET name = CONCAT(name, 'c') WHERE id = 1;\nUPDATE item SET name = 'c' WHERE id = 2;",
        _4_row="INSERT INTO item VALUES (4, 'a');",
    )
    with deltas.victim() as run:
        run.waits_at("UPDATE item SET name = 'c'")
        other.query("UPDATE item SET name = CONCAT(name, 'b') WHERE id = 1")
        other.commit()
        done = run.result()
    assert [(delta["name"], delta["retries"]) for delta in done["applied"]] == [
        ("2_row.sql", 0), ("3_rows.sql", 1), ("4_row.sql", 0),
    ]  # fmt: skip
    assert deltas.rows("SELECT name FROM item WHERE id <= 4") == [("abc",), ("c",), ("a",), ("a",)]
