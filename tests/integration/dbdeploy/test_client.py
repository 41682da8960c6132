# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts, split here and by the real ``mariadb`` client: the server must get the same from both.

And what the client could not do: bodies of routines without DELIMITER, held against a server that takes them.
"""

from __future__ import annotations

import random
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.script import split
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from tests.support.deltas import Folder
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.recording import MODE, RecordingServer

inner = st.text(alphabet="ab;'\"`\\#-/*! \t\n$@é", max_size=6)
pieces = st.one_of(
    st.sampled_from(
        [
            "SELECT 1", "SELECT ", "a", "b b", "'", '"', "`", "/*", "*/", "/*!", "/*!50000 ", "/*M!100000 ", "-- ",
            "--", "# ", "\\N", "\\", "\\-", ";", ";", ";", "//", "$$", "\n", "\n", "\n", " ", "\t", "\r\n",
            "\ndelimiter //\n",
            "\nDELIMITER ;\n", "\ndelimiter $$ -- x\n", "\nDelimiter ';;'\n", "'é;'", "+", "/", "*", "!", "BEGIN",
            "END",
            "''", '""', "``", "\\'", ";\nSET sql_mode='ANSI_QUOTES';\n", ";\nSET sql_mode='NO_BACKSLASH_ESCAPES';\n",
            ";\nSET sql_mode='';\n", "SELECT\n", "CREATE PROCEDURE p() SELECT 1", "SET @x=1", "\nstatus", "go", "é",
        ]
    ),
    *(st.builds(form.format, inner) for form in ("'{}'", '"{}"', "`{}`", "/*{}*/", "/*!{}*/", "/*M!{}*/")),
    *(st.builds(form.format, inner) for form in ("-- {}\n", "#{}\n")),
)  # fmt: skip
scripts = st.lists(pieces, min_size=1, max_size=12).map("".join)


@pytest.fixture(scope="module")
def client() -> Iterator[RecordingServer]:
    with RecordingServer() as server:
        yield server


def comparable(texts: list[str], script: str) -> list[str]:
    """Statements as the server sees them. Where DELIMITER lets several through at once, it tells them apart itself;
    and the client drops a line end after a word ``delimiter`` in the middle of a statement."""
    stripped = [text.strip() for text in texts]
    if "delimiter" not in script.lower():
        return [text for text in stripped if text]
    together = re.sub(r"\s+", "", ";".join(stripped))
    return [text for text in together.split(";") if text]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(scripts)
@example("SELECT 'a\\\nb';\n-- c\nSELECT 2")
@example("SELECT 1/* a */+/*!50000 2 */;\nSELECT 5--1;\n--x;\nSELECT 3")
@example("/*! a /* b */ c */ d; e")
@example("/* a /*! b */ c */ d; e")
@example("/*! a\n/* b */ c */ d; e")
@example("delimiter //\nSELECT 1; SELECT 2 //\ndelimiter ;\nSELECT 3;")
@example("SELECT 'a\r\nb';\r\nSELECT `a\\`, 1;")
def test_the_client_sends_the_same(client: RecordingServer, script: str) -> None:
    try:
        ours = [statement.text for statement in split(script)]
    except LampError as error:
        assert error.code == "dbdeploy_client_command"
        return
    # A SET that fails changes nothing, but here nobody knows that it will.
    assume(all(MODE.fullmatch(text) or "sql_mode" not in text.lower() for text in ours))
    assert comparable(ours, script) == comparable(client.received(script), script)


@pytest.mark.parametrize(("mode", "string"), [("NO_BACKSLASH_ESCAPES", "'a\\'"), ("ANSI_QUOTES", '"a\\"')])
def test_the_modes_that_dumps_keep_in_variables_are_followed(mode: str, string: str) -> None:
    script = [
        "/*!50003 SET @saved_sql_mode       = @@sql_mode */",
        f"SET sql_mode              = '{mode}'",
        f"SELECT {string}, 1",
        "/*!50003 SET sql_mode              = @saved_sql_mode */",
        "SELECT 'a\\';b', \"a\\\";b\"",
    ]
    assert [statement.text for statement in split(";\n".join(script))] == script


EXPRESSIONS = [
    "1", "IF(1, 2, 3)", "CASE 1 WHEN 1 THEN 'END;' ELSE 2 END", "REPEAT('x;', 2)", "(SELECT `end` FROM `if`)",
    "@begin", "CASE WHEN i > 1 THEN CASE i WHEN 2 THEN 3 END END", "REPLACE('a', 'b', 'END IF')", "i",
    "(SELECT t.begin FROM t)",
]  # fmt: skip
SIMPLE = [
    "SET i = {e};", "SELECT {e} INTO i;", "INSERT INTO t VALUES ({e}) ON DUPLICATE KEY UPDATE n = 1;", "DELETE FROM t;",
    "SELECT begin, end FROM t;", "REPLACE INTO t SELECT 1;", "COMMIT;", "START TRANSACTION;", "SELECT n AS end FROM t;",
    "SELECT n FROM t FOR UPDATE;",
]  # fmt: skip
BLOCKS = [
    "IF {e} THEN {b} END IF;", "IF {e} THEN {b} ELSEIF {e} THEN {b} ELSE {b} END IF;",
    "CASE {e} WHEN {e} THEN {b} ELSE {b} END CASE;", "CASE WHEN {e} THEN {b} END CASE;", "{l}LOOP {b} END LOOP;",
    "{l}WHILE {e} DO {b} END WHILE;", "{l}REPEAT {b} UNTIL {e} END REPEAT;", "{l}BEGIN {b} END;",
    "FOR r IN (SELECT n FROM t) DO {b} END FOR;",
    "BEGIN DECLARE odd CONDITION FOR 1146; DECLARE EXIT HANDLER FOR {h} BEGIN {b} END; {b} END;",
    "BEGIN DECLARE odd CONDITION FOR 1146; DECLARE CONTINUE HANDLER FOR {h} SET i = {e}; {b} END;",
]  # fmt: skip
HANDLED = ["SQLEXCEPTION", "NOT FOUND", "SQLSTATE VALUE '23000'", "1062, SQLWARNING", "odd"]


def body(chance: random.Random, depth: int) -> str:
    """A statement of a routine, compound ones in compound ones."""
    form = chance.choice(BLOCKS if depth else SIMPLE)
    while "{" in form:
        marker = form[form.index("{") :][:3]
        filling = {
            "{e}": lambda: chance.choice(EXPRESSIONS),
            "{h}": lambda: chance.choice(HANDLED),
            "{l}": lambda: chance.choice(["", "l{}: ", "`end {}`: "]).format(chance.getrandbits(40)),
            "{b}": lambda: " ".join(body(chance, chance.randrange(depth)) for _ in range(chance.choice([1, 1, 2]))),
        }[marker]()
        form = form.replace(marker, filling, 1)
    return form


HEADS = [
    "CREATE PROCEDURE p(OUT i INT) COMMENT 'a;b' MODIFIES SQL DATA",
    "CREATE OR REPLACE DEFINER=`root`@`localhost` PROCEDURE `p`(i INT, begin CHAR(3) CHARACTER SET utf8mb4)",
    "/*!50003 CREATE*/ /*!50020 DEFINER=`root`@`localhost`*/ /*!50003 PROCEDURE p(i INT)",
]


@pytest.fixture(scope="module")
def judge(mariadb: MariaDB) -> Iterator[MariaDB]:
    """The server that says whether a routine is grammatical."""
    mariadb.query("CREATE DATABASE judge")
    yield mariadb
    mariadb.query("DROP DATABASE judge")


def test_bodies_need_no_delimiter(judge: MariaDB) -> None:
    chance = random.Random(1)  # noqa: S311 (the same bodies in each run)
    with judge.connect("judge") as connection, connection.cursor() as cursor:
        for number in range(300):
            head = HEADS[number % len(HEADS)]
            create = f"{head} {body(chance, 1 + number % 4).rstrip(';')}" + (" */" if head.startswith("/*") else "")
            script = f"SELECT 0;\n{create};\nSELECT 9;"
            assert [statement.text for statement in split(script)] == ["SELECT 0", create, "SELECT 9"]
            cursor.execute("DROP PROCEDURE IF EXISTS p")
            cursor.execute(create)  # which says whether it is grammatical


TRIGGER = "CREATE TRIGGER t_end BEFORE INSERT ON t FOR EACH ROW FOLLOWS t_begin BEGIN SET NEW.n = 1; SET @x = 2; END"
FUNCTION = "CREATE FUNCTION f(a SET('x','y')) RETURNS VARCHAR(9) CHARSET utf8mb4 DETERMINISTIC BEGIN RETURN 1; END"


@pytest.mark.parametrize(
    "create",
    [
        TRIGGER,
        FUNCTION,
        FUNCTION.replace("CHARSET utf8mb4", "CHARACTER SET latin1 COLLATE latin1_bin"),
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY STARTS CURRENT_TIMESTAMP + INTERVAL 1 DAY ON COMPLETION PRESERVE"
        " COMMENT 'do;' DO BEGIN SELECT 1; IF 1 THEN SELECT 2; END IF; END",
        "ALTER EVENT e DO BEGIN SELECT 1; SELECT 2; END",
        "CREATE EVENT e2 ON SCHEDULE AT '2038-01-01' DO DELETE FROM t",
        "BEGIN NOT ATOMIC DECLARE i INT; SET i = 1; END",
        "IF 1 THEN SELECT 1; ELSE SELECT 2; END IF",
        "l: LOOP LEAVE l; END LOOP l",
        "CREATE AGGREGATE FUNCTION IF NOT EXISTS agg(x INT) RETURNS INT BEGIN DECLARE CONTINUE HANDLER FOR NOT FOUND"
        " RETURN 0; LOOP FETCH GROUP NEXT ROW; END LOOP; END",
    ],
)
def test_other_bodies_need_no_delimiter(create: str) -> None:
    assert [statement.text for statement in split(f"SELECT 0;\n{create};\nSELECT 9")] == [
        "SELECT 0",
        create,
        "SELECT 9",
    ]


CONTENT = r"""
CREATE TABLE item (id INT PRIMARY KEY, note TEXT, b BLOB, stamp TIMESTAMP NOT NULL DEFAULT '2020-02-02 02:02:02');
INSERT INTO item (id, note, b) VALUES (1, 'it''s; -- @UNDO \ "x" `y`', x'00ff27'), (2, '
-- @UNDO
# no /* comment', NULL);
CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM;
INSERT INTO old VALUES (1), (2);
CREATE VIEW shown AS SELECT id, CONCAT(note, ';') AS note FROM item;
CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC BEGIN IF x > 0 THEN RETURN x * 2; END IF; RETURN 0; END;
CREATE PROCEDURE fill(n INT) COMMENT 'x;y' BEGIN DECLARE i INT DEFAULT 0; WHILE i < n DO SET i = i + 1; END WHILE; END;
CREATE TRIGGER checks BEFORE INSERT ON item FOR EACH ROW BEGIN SET NEW.note = CONCAT(NEW.note, ';'); SET @seen = 1; END;
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DISABLE DO BEGIN DELETE FROM old; DELETE FROM item WHERE id < 0; END;
"""


@pytest.mark.parametrize("delimiter", ["as dumped", "none"])
def test_a_dump_is_a_delta(mariadb: MariaDB, database: str, tmp_path: Path, delimiter: str) -> None:
    other = f"test_{secrets.token_hex(4)}"
    mariadb.query(f"CREATE DATABASE {other} CHARACTER SET utf8mb4")
    first = Folder(tmp_path / "a", mariadb, other)
    second = Folder(tmp_path / "b", mariadb, database)
    for folder in (first, second):
        folder.path.mkdir()
    first.write(_1_content=CONTENT)
    assert not first.here(changelog_table="hidden").get("failed")
    tables = ("item", "old", "shown")
    ours = [f"--ignore-table={other}.hidden{suffix}" for suffix in ("", "_state", "_drop")]
    dump = mariadb.dump(other, options=("--hex-blob", *ours))
    if delimiter == "none":
        dump = re.sub(r"(?m)^DELIMITER .*\n", "", dump).replace(";;\n", ";\n")
    second.write(_1_dump=dump)
    done = second.here()
    assert not done.get("failed"), done
    for name in tables:
        assert mariadb.dump(database, name, options=("--hex-blob",)) == mariadb.dump(
            other, name, options=("--hex-blob",)
        )
    routines = ("--no-data", "--no-create-info", "--skip-triggers", "--no-create-db")
    assert mariadb.dump(database, options=routines) == mariadb.dump(other, options=routines).replace(other, database)
    mariadb.query(f"DROP DATABASE {other}")
