# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a delta may do to its records, its session and the tables that no rollback reaches."""

from __future__ import annotations

import pytest

from tests.support.deltas import TABLE, Folder, names
from tests.support.servers.base import wait_until

LOGS = "CREATE FUNCTION f(x INT) RETURNS INT BEGIN INSERT INTO log VALUES (x); RETURN x; END"
MYISAM = "CREATE TABLE log (id INT PRIMARY KEY) ENGINE=MyISAM;\n"


def test_a_statement_on_myisam_is_not_repeated_after_a_fault(deltas: Folder) -> None:
    deltas.rows("CREATE TABLE log (n INT) ENGINE=MyISAM")
    deltas.write(_1_log="INSERT INTO log VALUES (1);\nINSERT INTO nowhere VALUES (1);")
    assert deltas.here()["failed_delta"]["statement"] == 2
    deltas.write(_1_log="INSERT INTO log VALUES (1);\nINSERT INTO log VALUES (2);")
    assert deltas.here()["resumed"] == [1]
    assert deltas.rows("SELECT n FROM log ORDER BY n") == [(1,), (2,)]


@pytest.mark.parametrize(
    ("table", "made", "written"),
    [
        ("my-log", "CREATE TABLE `my-log` (n INT) ENGINE=MyISAM", "INSERT INTO `my-log` VALUES (1)"),
        ("audit", "CREATE TABLE audit (n INT) ENGINE=MyISAM",
         "SET sql_mode = 'ANSI_QUOTES';\nINSERT INTO \"audit\" VALUES (1)"),
    ],
)  # fmt: skip
def test_myisam_is_found_by_whatever_name_it_has(deltas: Folder, table: str, made: str, written: str) -> None:
    deltas.rows(made)
    deltas.write(_1_log=f"{written};\nINSERT INTO nowhere VALUES (1);")
    assert deltas.here()["database_changed"] is True
    deltas.write(_1_log=f"{written};")
    assert not deltas.here().get("failed")
    assert deltas.rows(f"SELECT n FROM `{table}`") == [(1,)]


def test_a_table_of_that_name_in_another_database_is_another_table(deltas: Folder) -> None:
    other = f"{deltas.database}_old"
    deltas.rows(f"CREATE DATABASE {other}")
    deltas.rows(f"CREATE TABLE {other}.item (n INT) ENGINE=MyISAM")
    deltas.rows(TABLE)
    row = "INSERT INTO item VALUES (1, 'a');\n"
    deltas.write(_1_rows=row + row)
    failed = deltas.here()
    assert (failed["error_code"], failed["database_changed"]) == ("dbdeploy_statement_failed", False), failed
    assert deltas.rows("SELECT id FROM item") == []
    row = f"INSERT INTO {other}.item VALUES (1);\n"
    deltas.write(_1_rows=f"{row}INSERT INTO nowhere VALUES (1);")
    assert deltas.here()["failed_delta"]["statement"] == 2
    deltas.write(_1_rows=row)
    assert not deltas.here().get("failed")
    assert deltas.rows(f"SELECT n FROM {other}.item") == [(1,)]
    deltas.rows(f"DROP DATABASE {other}")


@pytest.mark.parametrize("through", ["trigger", "view", "function", "set", "text", "procedure"])
def test_myisam_is_found_behind_what_uses_it(deltas: Folder, through: str) -> None:
    deltas.rows("CREATE TABLE log (n INT) ENGINE=MyISAM")
    deltas.rows("CREATE TABLE item (n INT) ENGINE=InnoDB")
    made, used = {
        "trigger": ("CREATE TRIGGER t AFTER INSERT ON item FOR EACH ROW INSERT INTO log VALUES (NEW.n)",
                    "INSERT INTO item VALUES (1)"),
        "view": ("CREATE VIEW v AS SELECT n FROM log", "INSERT INTO v VALUES (1)"),
        "function": (LOGS, "INSERT INTO item VALUES (f(1))"),
        "set": (LOGS, "SET @a = f(1)"),
        "text": ("SET @unused = 1", "PREPARE s FROM 'INSERT INTO log VALUES (1)';\nEXECUTE s"),
        "procedure": ("CREATE PROCEDURE p() EXECUTE IMMEDIATE CONCAT('INSERT INTO l', 'og VALUES (1)')", "CALL p()"),
    }[through]  # fmt: skip
    deltas.rows(made)
    deltas.write(_1_log=f"{used};\nINSERT INTO nowhere VALUES (1);")
    deltas.here()
    deltas.write(_1_log=f"{used};")
    assert not deltas.here().get("failed")
    assert deltas.rows("SELECT n FROM log") == [(1,)]


def test_a_myisam_statement_that_fails_half_way_is_reported_as_unknown(deltas: Folder) -> None:
    deltas.write(_1_log=MYISAM + "INSERT INTO log VALUES (1), (2), (1), (3);")
    result = deltas.here()
    assert (result["error_code"], result["unknown"][0]["statement"]) == ("dbdeploy_unknown_outcome", 2)
    assert deltas.here()["error_code"] == "dbdeploy_unknown_outcome"
    assert deltas.rows("SELECT COUNT(*) FROM log") == [(2,)]
    deltas.write(_1_log=MYISAM + "INSERT INTO log VALUES (3);")
    assert deltas.here(on_unknown="retry")["resumed"] == [1]
    assert deltas.rows("SELECT COUNT(*) FROM log") == [(3,)]


@pytest.mark.parametrize("on_unknown", ["skip", "retry"])
def test_a_delta_ends_where_what_nobody_knows_of_was_taken_out(deltas: Folder, on_unknown: str) -> None:
    deltas.write(_1_log=MYISAM + "INSERT INTO log VALUES (1), (1);")
    assert deltas.here()["error_code"] == "dbdeploy_unknown_outcome"
    deltas.write(_1_log=MYISAM)
    asked = deltas.here()
    assert (asked["error_code"], "no longer in the file" in asked["msg"]) == ("dbdeploy_unknown_outcome", True)
    assert deltas.here(on_unknown=on_unknown)["resumed"] == [1]
    assert deltas.applied() == [1]


def test_a_changelog_table_in_myisam_never_says_more_than_was_done(deltas: Folder) -> None:
    deltas.rows("CREATE TABLE changelog (change_number BIGINT PRIMARY KEY, complete_dt TIMESTAMP NOT NULL,"
                " applied_by VARCHAR(100) NOT NULL, description VARCHAR(5) NOT NULL) ENGINE=MyISAM")  # fmt: skip
    deltas.write(_1_item=TABLE + "INSERT INTO item VALUES (1, 'a');")
    assert deltas.here()["error_code"] == "dbdeploy_records"
    assert (deltas.applied(), deltas.rows("SELECT id FROM item")) == ([], [(1,)])
    deltas.rows("ALTER TABLE changelog MODIFY description VARCHAR(500) NOT NULL")
    assert deltas.here()["resumed"] == [1]
    assert (deltas.applied(), deltas.rows("SELECT id FROM item")) == ([1], [(1,)])


def test_a_procedure_that_commits_and_then_fails_is_unknown_not_repeated(deltas: Folder) -> None:
    deltas.write(
        _1_item=TABLE + "CREATE PROCEDURE fill() BEGIN INSERT INTO item VALUES (1, 'a'); COMMIT;"
        " INSERT INTO item VALUES (1, 'b'); END;",
        _2_call="CALL fill();",
    )
    result = deltas.here()
    assert (result["error_code"], result["unknown"][0]["number"]) == ("dbdeploy_unknown_outcome", 2)
    assert deltas.here()["error_code"] == "dbdeploy_unknown_outcome"
    assert deltas.here(on_unknown="skip")["resumed"] == [2]
    assert deltas.rows("SELECT name FROM item") == [("a",)]


def test_a_procedure_that_commits_is_not_repeated_when_a_later_statement_fails(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE + "CREATE PROCEDURE fill() BEGIN INSERT INTO item VALUES (1, 'a'); COMMIT; END;")
    deltas.here()
    deltas.write(_2_call="CALL fill();\nINSERT INTO item VALUES (2, 'b');\nINSERT INTO nowhere VALUES (1);")
    assert deltas.here()["failed_delta"]["statement"] == 3
    deltas.write(_2_call="CALL fill();\nINSERT INTO item VALUES (2, 'b');")
    assert deltas.here()["applied"][0]["resumed_at"] == 1
    assert deltas.rows("SELECT id FROM item") == [(1,), (2,)]


def test_a_procedure_that_does_not_commit_is_part_of_the_transaction(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE + "CREATE PROCEDURE fill() INSERT INTO item VALUES (1, 'a');")
    deltas.here()
    deltas.write(_2_call="CALL fill();\nINSERT INTO nowhere VALUES (1);")
    assert deltas.here()["failed_delta"]["statement"] == 2
    assert deltas.rows("SELECT id FROM item") == []


def test_what_a_delta_sets_ends_with_it(deltas: Folder) -> None:
    deltas.write(
        _1_item=TABLE,
        _2_sets="SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES', @kept = 7, time_zone = '+05:00';\n"
        "INSERT INTO \"item\" VALUES (1, 'back\\slash\\');\nCREATE TEMPORARY TABLE scratch (a INT);",
        _3_sees="INSERT INTO item SELECT 2, CONCAT_WS('/', IFNULL(@kept, 'none'), @@time_zone, \"a\\\"b\");",
        _4_sees="CREATE TABLE scratch (b INT);",
    )
    assert len(deltas.here()["applied"]) == 4
    assert deltas.rows("SELECT name FROM item ORDER BY id") == [("back\\slash\\",), ('none/SYSTEM/a"b',)]
    assert deltas.rows("SHOW TABLES LIKE 'scratch'") == [("scratch",)]


def test_the_lock_outlives_the_session_of_a_delta(deltas: Folder) -> None:
    deltas.write(_1_sets="SET @a = 1;\nCREATE TABLE a (a INT);", _2_waits="SET @b = 1;\nDO SLEEP(600);")
    with deltas.victim() as victim:
        statement = victim.waits_at("DO SLEEP")
        assert deltas.here(lock_timeout=0)["error_code"] == "dbdeploy_locked"
    # The server does not know yet that nobody waits for its answer; the statement still runs.
    assert deltas.here(lock_timeout=0)["error_code"] == "dbdeploy_locked"
    deltas.rows(f"KILL {statement}")
    deltas.write(_2_waits="SET @b = 1;")
    assert deltas.applied() == [1]
    assert not deltas.here().get("failed")


def test_the_marker_of_the_undo_part_counts_only_as_a_comment_of_its_own(deltas: Folder) -> None:
    text = "a\n-- @UNDO\nb"
    deltas.write(_1_item=f"{TABLE}/*\n-- @UNDO\n*/\nINSERT INTO item VALUES (1, '{text}');\n-- @UNDO\nDROP TABLE item;")
    assert deltas.here()["applied"][0]["statements"] == 2
    assert deltas.rows("SELECT name FROM item") == [(text,)]
    assert deltas.here(state="undone", to=0)["undone"][0]["statements"] == 1


def test_a_tag_counts_only_as_a_comment_of_its_own(deltas: Folder) -> None:
    deltas.write(_1_item=f"{TABLE}INSERT INTO item VALUES (1, '\n-- @DROP-SESSIONS\n');")
    assert deltas.here()["drop_sessions"] is False


def test_skipping_what_is_out_of_order_does_not_skip_what_was_begun(deltas: Folder) -> None:
    deltas.write(_2_item=TABLE)
    deltas.here()
    deltas.write(_1_begun="CREATE TABLE a (a INT);\nINSERT INTO nowhere VALUES (1);")
    deltas.here()
    deltas.write(_1_begun="CREATE TABLE a (a INT);", _0_new="CREATE TABLE b (a INT);")
    result = deltas.here(out_of_order="skip")
    assert [delta["name"] for delta in result["applied"]] == ["1_begun.sql"]
    assert not deltas.here(out_of_order="skip")["changed"]


@pytest.mark.parametrize(("on_unknown", "rows"), [("skip", 0), ("retry", 1)])
def test_the_dates_of_a_row_that_another_tool_began_stay(deltas: Folder, on_unknown: str, rows: int) -> None:
    deltas.rows("CREATE TABLE changelog (change_number BIGINT NOT NULL, delta_set VARCHAR(10) NOT NULL,"
                " start_dt TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, complete_dt"
                " TIMESTAMP NULL, applied_by VARCHAR(100) NOT NULL, description VARCHAR(500) NOT NULL,"
                " PRIMARY KEY (change_number, delta_set)) ENGINE=InnoDB")  # fmt: skip
    deltas.rows("INSERT INTO changelog VALUES (1, 'Main', '2020-02-02 02:02:02', NULL, 'phing', 'kept')")
    deltas.rows("CREATE TABLE item (id INT)")
    deltas.write(_1_item="INSERT INTO item VALUES (1);")
    assert deltas.here()["error_code"] == "dbdeploy_incomplete"
    assert not deltas.here(on_unknown=on_unknown).get("failed")
    kept = "SELECT CAST(start_dt AS CHAR(19)), applied_by, description FROM changelog"
    assert deltas.rows(f"{kept} WHERE complete_dt > NOW() - INTERVAL 1 HOUR") == [
        ("2020-02-02 02:02:02", "phing", "kept")
    ]
    assert len(deltas.rows("SELECT * FROM item")) == rows


@pytest.mark.parametrize("table", ["changelog", "changelog_state", "changelog_drop"])
def test_records_that_cannot_be_written_are_named(deltas: Folder, table: str) -> None:
    deltas.write(_1_item=TABLE)
    deltas.here(drop_tags=["the first"])
    deltas.rows(f"CREATE TRIGGER no_rows BEFORE INSERT ON {table} FOR EACH ROW"
                " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no space'")  # fmt: skip
    deltas.write(_2_row="-- @DROP-SESSIONS\nINSERT INTO item VALUES (1, 'a');")
    result = deltas.run()
    assert (result["error_code"], "no space" in result["msg"]) == ("dbdeploy_records", True)
    assert deltas.rows("SELECT * FROM item") == []
    deltas.rows("DROP TRIGGER no_rows")
    assert deltas.here()["changed"]
    assert deltas.rows("SELECT id FROM item") == [(1,)]


def test_records_that_cannot_be_written_after_ddl_do_not_repeat_it(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE)
    deltas.here()
    deltas.rows("CREATE TRIGGER no_rows BEFORE INSERT ON changelog FOR EACH ROW"
                " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no space'")  # fmt: skip
    deltas.write(_2_more="ALTER TABLE item ADD extra INT;")
    assert deltas.here()["error_code"] == "dbdeploy_records"
    deltas.rows("DROP TRIGGER no_rows")
    assert deltas.here()["resumed"] == [2]
    assert deltas.applied() == [1, 2]


def test_a_user_who_may_not_write_the_records_is_told_so(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE)
    deltas.here()
    deltas.rows("CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'secret-word'")
    try:
        deltas.rows(f"GRANT SELECT ON `{deltas.database}`.* TO reader@'127.0.0.1'")
        deltas.write(_2_row="INSERT INTO item VALUES (1, 'a');")
        result = deltas.run(login_user="reader", login_password="secret-word", state="baselined")
        assert (result["error_code"], "secret-word" in result.output) == ("dbdeploy_records", False)
        assert "denied" in result["msg"]
    finally:
        deltas.rows("DROP USER reader@'127.0.0.1'")


def test_a_connection_that_is_lost_while_records_are_written_is_named(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE)
    deltas.here()
    deltas.write(_2_more="ALTER TABLE item ADD extra INT;")
    with deltas.server.connect(deltas.database, autocommit=False) as holder:
        holder.query("SELECT * FROM changelog_state FOR UPDATE")
        with deltas.victim() as victim:
            deltas.rows(f"KILL {victim.waits_at('REPLACE INTO')}")
            result = victim.result()
    assert (result["error_code"], "2_more.sql" in result["msg"]) == ("dbdeploy_connection_lost", True)
    assert not deltas.here().get("failed")


def test_no_database_is_said(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE)
    assert deltas.here(login_db=None)["error_code"] == "dbdeploy_no_database"


def test_a_number_that_is_none_is_named(deltas: Folder) -> None:
    deltas.rows("CREATE TABLE changelog (change_number VARCHAR(20) PRIMARY KEY, complete_dt TIMESTAMP NOT NULL,"
                " applied_by VARCHAR(100) NOT NULL, description VARCHAR(500) NOT NULL)")  # fmt: skip
    deltas.rows("INSERT INTO changelog VALUES ('one', NOW(), 'x', 'x')")
    deltas.write(_1_item=TABLE)
    result = deltas.here()
    assert (result["error_code"], "'one'" in result["msg"]) == ("dbdeploy_foreign_number", True)


@pytest.mark.parametrize("number", [1205, 1213])
def test_a_transaction_that_lost_against_another_is_begun_again(deltas: Folder, number: int) -> None:
    deltas.write(_1_item=TABLE + "INSERT INTO item VALUES (1, 'a'), (2, 'b');")
    deltas.here()
    deltas.write(
        _2_move="UPDATE item SET name = CONCAT(name, '!') WHERE id = 1;\nUPDATE item SET name = 'c' WHERE id = 2;"
    )
    waits = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_waits'"
    before = int(deltas.rows(waits)[0][1])
    waiting = 3 if number == 1205 else 60
    with deltas.server.connect(deltas.database, autocommit=False) as other, deltas.victim(
        lock_wait_timeout=waiting
    ) as victim:
        other.query("UPDATE item SET name = 'other' WHERE id = 2")
        victim.waits_at("UPDATE item SET name = 'c'")
        if number == 1213:
            # The other one has written more, so the server gives the delta's transaction up.
            other.query("INSERT INTO item SELECT seq + 10, 'x' FROM seq_1_to_100")
            other.query("UPDATE item SET name = 'other' WHERE id = 1")
        else:
            wait_until(lambda: int(deltas.rows(waits)[0][1]) >= before + 2, "the second try")
        other.rollback()
        result = victim.result()
    assert result["applied"][0]["retries"] == 1
    assert deltas.rows("SELECT name FROM item ORDER BY id") == [("a!",), ("c",)]


def test_a_value_that_a_delta_kept_in_its_session_is_not_guessed_at(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE + "INSERT INTO item VALUES (1, 'a');")
    deltas.here()
    head = "SET @n = (SELECT COUNT(*) FROM item);\nINSERT INTO item VALUES (2, 'b');\nALTER TABLE item ADD extra INT;\n"
    deltas.write(_2_counts=head + "UPDATE nowhere SET a = @n;")
    assert deltas.here()["failed_delta"]["statement"] == 4
    deltas.write(_2_counts=head + "UPDATE item SET extra = @n;")
    result = deltas.here()
    assert (result["error_code"], "@n" in result["msg"]) == ("dbdeploy_session_lost", True)
    assert deltas.here(on_unknown="retry")["resumed"] == [2]
    assert deltas.rows("SELECT DISTINCT extra FROM item") == [(2,)]


def test_gaps_are_shown(deltas: Folder) -> None:
    deltas.write(_2_a="DO 1;", _3_b="DO 1;", _7_c="DO 1;")
    assert deltas.here(check=True)["gaps"] == ["1", "4-6"]
    deltas.write(_20260101120000_d="DO 1;")
    assert deltas.here()["gaps"] == []


def test_a_folder_that_is_older_than_the_database_is_told(deltas: Folder) -> None:
    deltas.write(_2_a="DO 1;", _3_b="DO 1;", _7_c="DO 1;")
    assert deltas.here(check=True)["ahead"] == []
    deltas.here()
    (deltas.path / "2_a.sql").unlink()  # an old one that is done with
    assert deltas.here(check=True)["ahead"] == []
    deltas.write(_8_d="CREATE TABLE d (id INT);\nDO nonsense;")
    assert deltas.here()["failed_delta"]["number"] == 8
    for name in ("7_c.sql", "8_d.sql"):
        (deltas.path / name).unlink()
    assert deltas.here(check=True)["ahead"] == deltas.here()["ahead"] == [7, 8]
    deltas.write(_9_e="DO 1;")
    assert deltas.here(check=True)["ahead"] == [8], "it is half applied, whatever came after it"


def test_records_cost_at_most_two_questions_a_delta_and_one_connection(deltas: Folder) -> None:
    def asked(first: int, last: int) -> tuple[int, int]:
        """The questions and the connections of a run over some deltas of all kinds, and a look at them each time."""
        own = 0
        for number in range(first, last + 1):
            statements = [
                [f"CREATE TABLE t{number} (id INT PRIMARY KEY, n INT) ENGINE=InnoDB"],
                [f"INSERT INTO t{number - 1} VALUES (1, 1), (2, 2)"],
                [f"UPDATE t{number - 2} SET n = 3 WHERE id = 1"],
                [f"ALTER TABLE t{number - 3} ADD extra INT", f"UPDATE t{number - 3} SET extra = 1"],
            ][number % 4]
            own += len(statements)
            deltas.write(**{f"_{number}_x": ";\n".join(statements)})
        look = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Connections', 'Questions')"
        before = {name: int(value) for name, value in deltas.rows(look)}
        assert len(deltas.here()["applied"]) == last - first + 1
        after = {name: int(value) for name, value in deltas.rows(look)}
        return after["Questions"] - before["Questions"] - own, after["Connections"] - before["Connections"] - 1

    asked(0, 3)  # makes the tables of the records
    few, connections = asked(4, 7)
    many, still = asked(8, 47)
    assert (many - few) / 36 <= 2
    assert (connections, still) == (1, 1)


def test_rows_that_statements_give_are_passed_over(deltas: Folder) -> None:
    deltas.write(
        _1_two="CREATE PROCEDURE two() BEGIN SELECT 1; SELECT 2; END;\nCALL two();\nSELECT 3;",
        _2_rows=TABLE + "INSERT INTO item VALUES (1, 'a');\nSELECT * FROM item;",
    )
    assert names(deltas.here()["applied"]) == ["1_two.sql", "2_rows.sql"]
