# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements, held against what the real client makes of the same script."""

from __future__ import annotations

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.delta import Delta
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.script import Dialect, parts, split
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import digest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError


def texts(script: str) -> list[str]:
    return [statement.text for statement in split(script)]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("a;b", ["a", "b"]),
        ("\ufeffSELECT 1 ; \n\n", ["SELECT 1"]),
        ("SELECT ';', \"a;b\", `c;d`; x", ["SELECT ';', \"a;b\", `c;d`", "x"]),
        ("SELECT 'it''s; \\'; '; x", ["SELECT 'it''s; \\'; '", "x"]),
        ("-- a; b\nSELECT 1; # c;\nSELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1 /* ; */ + 1;", ["SELECT 1  + 1"]),
        ("SELECT 5--1;", ["SELECT 5--1"]),
        ("/*!40101 SET NAMES utf8 */;", ["/*!40101 SET NAMES utf8 */"]),
        ("DELIMITER //\nCREATE PROCEDURE p() BEGIN SELECT 1; END//\nDELIMITER ;\nx;",
         ["CREATE PROCEDURE p() BEGIN SELECT 1; END", "x"]),
        ("DELIMITER //\nCREATE PACKAGE p AS FUNCTION f RETURN INT; PROCEDURE g; END//\nDELIMITER ;\nx;",
         ["CREATE PACKAGE p AS FUNCTION f RETURN INT; PROCEDURE g; END", "x"]),
        ("CREATE PROCEDURE p() BEGIN SELECT 1; END; x", ["CREATE PROCEDURE p() BEGIN SELECT 1; END", "x"]),
        ("CREATE PROCEDURE p() SELECT 1; x", ["CREATE PROCEDURE p() SELECT 1", "x"]),
        ("BEGIN; INSERT INTO t VALUES (1); COMMIT", ["BEGIN", "INSERT INTO t VALUES (1)", "COMMIT"]),
        ("SELECT CASE WHEN 1 THEN 2 END; x", ["SELECT CASE WHEN 1 THEN 2 END", "x"]),
    ],
)  # fmt: skip
def test_a_script_is_split_as_the_client_does(script: str, expected: list[str]) -> None:
    assert texts(script) == expected


BODIES = [
    "BEGIN DECLARE i INT DEFAULT 0; WHILE i < 3 DO SET i = i + 1; END WHILE; SELECT CASE i WHEN 3 THEN 'x;' END; END",
    "outer_block: BEGIN IF 1 THEN SELECT 1; ELSEIF 2 THEN BEGIN SELECT 2; END; ELSE SELECT 3; END IF; END outer_block",
    "BEGIN CASE 1 WHEN 1 THEN SELECT 1; ELSE SELECT 2; END CASE; l: LOOP LEAVE l; END LOOP l; END",
    "BEGIN REPEAT SET @a = REPEAT('x', 2); UNTIL 1 END REPEAT; SELECT IF(1, 2, 3); END",
    "BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; END; SELECT 1; END",
    "IF 1 THEN SELECT IF(1, 2, 3); IF 2 THEN SELECT 2; END IF; END IF",
    "l: WHILE 0 DO SELECT 1; SELECT 2; END WHILE",
]


@pytest.mark.parametrize("body", BODIES)
def test_a_body_needs_no_delimiter(body: str) -> None:
    create = f"CREATE DEFINER=`root`@`localhost` PROCEDURE p()\n{body}"
    assert texts(f"SELECT 0;\n{create};\nSELECT 9;") == ["SELECT 0", create, "SELECT 9"]


@pytest.mark.parametrize(
    "line", ["source other.sql", "\\! rm -rf /", "\\. other.sql", "system ls", "SELECT 1 \\g", "delimiter"]
)
def test_what_only_the_client_could_do_is_refused_by_name_and_line(line: str) -> None:
    with pytest.raises(LampError) as failure:
        split(f"SELECT 1;\n{line}\n", "007_x.sql")
    assert failure.value.code == "dbdeploy_client_command"
    assert "007_x.sql, line 2" in str(failure.value)


@pytest.mark.parametrize("setting", ["SET STATEMENT sql_mode = '{}' FOR DO 1", "SET GLOBAL sql_mode = '{}'"])
def test_a_mode_that_the_session_does_not_get_is_not_read_by(setting: str) -> None:
    mode = setting.format("NO_BACKSLASH_ESCAPES")
    assert texts(f"{mode};\nSELECT '\\';'") == [mode, "SELECT '\\';'"]


def test_comments_and_line_ends_do_not_count_in_a_checksum() -> None:
    assert digest(split("SELECT 1 ,\r\n 2; -- x")) == digest(split("/* y */ SELECT 1 , 2;"))
    assert digest(split("SELECT 'a  b'")) != digest(split("SELECT 'a b'"))


def test_lines_are_counted_from_one() -> None:
    assert [statement.line for statement in split("-- c\n\nSELECT 1;\n\nSELECT\n2;")] == [3, 5]


@pytest.mark.parametrize(
    ("text", "recoded", "refused"),
    [
        ("SET NAMES latin1", True, True),
        ("SET NAMES latin1", False, False),
        ("/*!40101 SET NAMES 'cp1251' */", True, True),
        ("SET @a = 1, CHARACTER SET koi8r", True, True),
        ("SET SESSION character_set_client = latin1", True, True),
        ("/*!40101 SET NAMES utf8 */", True, False),
        ("SET NAMES DEFAULT", True, False),
        ("SET character_set_client = @old", True, False),
        ("SET character_set_results = latin1", True, False),
        ("ALTER TABLE item CONVERT TO CHARACTER SET latin1", True, False),
    ],
)
def test_an_encoding_that_the_text_is_not_sent_in_is_refused(text: str, recoded: bool, refused: bool) -> None:
    delta = Delta(1, "1_a.sql", text, dialect=Dialect(recoded=recoded))
    if refused:
        with pytest.raises(LampError, match=r"1_a\.sql, line 1"):
            _ = delta.statements
    else:
        assert len(delta.statements) == 1


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("UPDATE a SET n = 1; ROLLBACK", True),
        ("DO 1;\n-- @UNDO\nUPDATE a SET n = 1; ROLLBACK WORK", True),
        ("START TRANSACTION; UPDATE a SET n = 1; ALTER TABLE a FORCE; UPDATE a SET n = 2; ROLLBACK", True),
        ("BEGIN; UPDATE a SET n = 1; COMMIT; UPDATE a SET n = 2; ROLLBACK", True),
        ("BEGIN; ROLLBACK; UPDATE a SET n = 2; ROLLBACK", True),
        ("START TRANSACTION; UPDATE a SET n = 1; ROLLBACK; UPDATE a SET n = 2", False),
        ("UPDATE a SET n = 1; SAVEPOINT s; UPDATE a SET n = 2; ROLLBACK WORK TO s", False),
        ("CALL begins(); UPDATE a SET n = 1; ROLLBACK", False),
        ("SET NAMES utf8; ROLLBACK /*!*/; BEGIN; UPDATE a SET n = 1; COMMIT", False),
    ],
)
def test_a_rollback_of_what_the_client_would_have_committed_is_refused(text: str, refused: bool) -> None:
    delta = Delta(1, "1_a.sql", text)
    if refused:
        with pytest.raises(LampError, match=r"1_a\.sql, line \d: this ROLLBACK"):
            _ = delta.statements
    else:
        assert delta.statements


@pytest.mark.parametrize("table", ["sessions", "shop.sessions"])
@pytest.mark.parametrize(
    ("script", "drops"),
    [
        ("TRUNCATE sessions", True),
        ("truncate table `sessions`;", True),
        ("TRUNCATE /* all */ TABLE shop.sessions WAIT 5", True),
        ("TRUNCATE `shop` . `sessions` NOWAIT", True),
        ("DELETE FROM sessions;", True),
        ("DELETE LOW_PRIORITY QUICK FROM `shop`.`sessions` -- all of it", True),
        ("DELETE FROM sessions WHERE sess_time < 5", False),
        ("TRUNCATE sessions2", False),
        ("TRUNCATE `old_sessions`", False),
        ("SELECT 'TRUNCATE sessions'", False),
    ],
)
def test_who_empties_the_session_table_drops_the_sessions(script: str, drops: bool, table: str) -> None:
    assert [statement.drops_sessions(table) for statement in split(script)] == [drops]


@pytest.mark.parametrize("tag", ["-- @DROP-SESSIONS", "  --@drop-sessions\t"])
def test_a_tag_is_a_comment_of_its_own(tag: str) -> None:
    assert parts(f"SELECT 1;\n{tag}\nSELECT 2;").tagged
    assert not parts(f"SELECT '\n{tag}\n'; -- see the tag DROP-SESSIONS of delta 3").tagged


@pytest.mark.parametrize(
    "line",
    [
        "-- @DROP-SESSIONS: new passwords",
        "-- @DROP_SESSIONS",
        "-- @DropSessions",
        "# @DROP-SESSIONS",
        "/* @drop-sessions */",
    ],
)
def test_what_is_nearly_the_tag_is_refused_by_name_and_line(line: str) -> None:
    with pytest.raises(LampError, match="is not the tag -- @DROP-SESSIONS") as failure:
        parts(f"SELECT 1;\n{line}\n", "007_x.sql")
    assert (failure.value.code, "007_x.sql, line 2" in str(failure.value)) == ("dbdeploy_bad_tag", True)


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("-- //@UNDO the table", True),
        ("--//@undo;", True),
        ("-- @UNDO: see ticket 5", True),
        ("# @UNDO", True),
        ("/* //@UNDO */", True),
        ("--//UNDO", True),
        ("-- undo is below", False),
        ("-- @undoable", False),
        ("SELECT 1 -- @UNDO is a marker", False),
        ("-- // @UNDO", False),
    ],
)
def test_what_is_nearly_the_marker_is_refused_as_the_undo_part_would_be_run(line: str, refused: bool) -> None:
    script = f"SELECT 1;\n{line}\n"
    if refused:
        with pytest.raises(LampError, match=r"007_x\.sql, line 2: .* is not the marker -- @UNDO") as failure:
            parts(script, "007_x.sql")
        assert failure.value.code == "dbdeploy_bad_tag"
    else:
        assert len(parts(script).do) == 1 + script.count("SELECT 1 ")
    assert parts(f"SELECT 1;\n-- @UNDO\n{line.replace('SELECT 1', '')}\n").undo == []


def test_a_tag_in_the_undo_part_is_refused() -> None:
    with pytest.raises(LampError, match=r"007_x\.sql, line 3: '-- @DROP-SESSIONS' does nothing in the undo part"):
        parts("SELECT 1;\n-- @UNDO\n-- @DROP-SESSIONS\n", "007_x.sql")


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("SET @a = 1, sql_mode = ''", True),
        ("/*!40101 SET NAMES utf8 */", True),
        ("SET SESSION TRANSACTION READ ONLY", True),
        ("SET ROLE keeper", True),
        ("SET TRANSACTION READ ONLY", False),
        ("SET STATEMENT max_statement_time = 9 FOR UPDATE item SET n = n + 1", False),
        ("SET GLOBAL max_connections = 9", False),
        ("SET @@global.max_connections = 9", False),
        ("SET PERSIST max_connections = 9", False),
        ("SET INSERT_ID = 7", False),
        ("SET PASSWORD FOR shop = 'x'", False),
        ("SET DEFAULT ROLE keeper", False),
        ("UPDATE item SET n = 1", False),
    ],
)
def test_what_is_a_setting_of_the_session_alone(text: str, setting: bool) -> None:
    assert split(text)[0].setting is setting
