# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts of deltas, run by the real client: the same database as after a run, and the way back."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.deltas import TABLE, Folder, names
from tests.support.servers.mariadb import MariaDB

DELTAS = {
    "_1_item": TABLE + "-- //@UNDO\nDROP TABLE item;",
    "_2_rows": "INSERT INTO item VALUES (1, 'a;b'), (2, 'it''s $$');\n-- @DROP-SESSIONS\n-- @UNDO\nDELETE FROM item;",
    "_3_total": """CREATE PROCEDURE total() BEGIN IF 1 THEN UPDATE item SET name = CONCAT(name, ';x'); END IF; END;
CALL total();
DROP PROCEDURE IF EXISTS other;
-- @UNDO
DROP PROCEDURE total;
SELECT 1;""",
    "_4_mode": """SET SESSION sql_mode = 'ANSI_QUOTES';
CREATE TABLE "order" ("key" INT PRIMARY KEY);
SET @kept = 7;
INSERT INTO "order" VALUES (@kept);
-- @UNDO
DROP TABLE `order`;""",
    "_5_mixed": """INSERT INTO item VALUES (5, "é ☃ €");
ALTER TABLE item ADD extra INT;
UPDATE item SET extra = id;
-- @UNDO
ALTER TABLE item DROP extra;""",
    "_6_trigger": """DELIMITER //
CREATE TRIGGER low BEFORE INSERT ON item FOR EACH ROW BEGIN SET NEW.name = LOWER(NEW.name); END//
DELIMITER ;
INSERT INTO item VALUES (6, 'ABC', 0);
-- @UNDO
DROP TRIGGER low;""",
}
RECORDS = (
    "SELECT change_number, delta_set, applied_by, description, complete_dt IS NULL FROM changelog ORDER BY 1",
    "SELECT * FROM changelog_state ORDER BY 1",
    "SELECT tag, done_at FROM changelog_drop ORDER BY 1",
)


@pytest.fixture()
def twin(tmp_path: Path, mariadb: MariaDB) -> Iterator[Folder]:
    """Another database for the same deltas, which the scripts are run in."""
    name = f"test_{secrets.token_hex(4)}"
    mariadb.query(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
    yield Folder(tmp_path, mariadb, name)
    mariadb.query(f"DROP DATABASE `{name}`")


def content(deltas: Folder) -> list[Any]:
    """The database, but for the dates of the records."""
    ours = ("changelog", "changelog_state", "changelog_drop")
    options = tuple(f"--ignore-table={deltas.database}.{name}" for name in ours)
    dump = deltas.server.dump(deltas.database, options=options)
    return [dump, *(deltas.rows(sql) for sql in RECORDS)]


def by_client(deltas: Folder, script: Path) -> str:
    """What the client complains of when it runs the script."""
    return deltas.server.client(script.read_text(encoding="utf-8"), deltas.database).stderr


def test_the_scripts_give_what_a_run_and_its_undo_give(deltas: Folder, twin: Folder, tmp_path: Path) -> None:
    deltas.write(**DELTAS)
    do, undo = tmp_path / "do.sql.out", tmp_path / "undo.sql.out"
    written = twin.run(output_file=str(do), undo_output_file=str(undo))
    assert (written["changed"], written["applied"], len(written["pending"])) == (True, [], 6)
    assert twin.rows("SHOW TABLES") == []
    assert by_client(twin, do) == ""
    assert names(deltas.run()["applied"]) == names(written["pending"])
    assert content(twin) == content(deltas)
    assert not twin.run()["changed"]
    assert "1242" in by_client(twin, do)  # nothing of it twice
    assert content(twin) == content(deltas)
    assert by_client(twin, undo) == ""
    assert deltas.run(state="undone", to=0)["changed"]
    assert content(twin)[:2] == content(deltas)[:2]
    assert "1242" in by_client(twin, undo)


def test_a_script_of_the_way_back_is_what_undo_does(deltas: Folder, twin: Folder, tmp_path: Path) -> None:
    deltas.write(**DELTAS)
    assert deltas.run()["changed"]
    assert twin.run()["changed"]
    script = tmp_path / "back.out"
    assert twin.run(state="undone", to=2, output_file=str(script))["undone"] == []
    assert by_client(twin, script) == ""
    assert deltas.run(state="undone", to=2)["changed"]
    assert content(twin) == content(deltas)
    assert deltas.applied() == [1, 2]


def test_a_script_that_stopped_half_way_is_continued_by_a_run(twin: Folder, tmp_path: Path) -> None:
    script = tmp_path / "do.out"
    good = TABLE + "ALTER TABLE item ADD extra INT;\n"
    twin.write(_1_mixed=good + "ALTER TABLE item DROP nowhere;")
    assert twin.run(output_file=str(script))["changed"]
    assert "nowhere" in by_client(twin, script)
    assert twin.run(output_file=str(script))["error_code"] == "dbdeploy_unfinished"
    twin.write(_1_mixed=good + "INSERT INTO item (id) VALUES (1);")
    done = twin.run(on_unknown="retry")
    assert (done["resumed"], done["applied"][0]["resumed_at"]) == ([1], 2)
    assert twin.rows("SELECT id FROM item") == [(1,)]


def test_check_mode_writes_nothing_and_a_second_run_changes_nothing(deltas: Folder, tmp_path: Path) -> None:
    deltas.write(**DELTAS)
    script = tmp_path / "do.out"
    planned = deltas.run(output_file=str(script), check=True, diff=True)
    assert (planned["changed"], script.exists()) == (True, False)
    written = deltas.run(output_file=str(script), diff=True)
    assert planned["diff"] == written["diff"]
    assert "CREATE TABLE item" in str(written["diff"])
    assert not deltas.run(output_file=str(script))["changed"]
    assert deltas.rows("SHOW TABLES") == []


def test_a_script_is_private_and_keeps_the_owner_and_mode_that_it_was_given(deltas: Folder, tmp_path: Path) -> None:
    deltas.write(_1_item=TABLE)
    script = tmp_path / "do.out"
    deltas.run(output_file=str(script))
    assert script.stat().st_mode & 0o777 == 0o600
    script.chmod(0o640)
    os.chown(script, 1, 1)
    deltas.write(_2_later="CREATE TABLE later (a INT);")
    assert deltas.run(output_file=str(script))["changed"]
    now = script.stat()
    assert (now.st_mode & 0o777, now.st_uid, now.st_gid) == (0o640, 1, 1)


def test_a_delta_without_undo_has_no_undo_script(deltas: Folder, tmp_path: Path) -> None:
    deltas.write(_1_item=TABLE)
    refused = deltas.run(undo_output_file=str(tmp_path / "undo.out"))
    assert (refused["error_code"], "1_item.sql" in refused["msg"]) == ("dbdeploy_no_undo", True)
    refused = deltas.run(output_file="/nonexistent/do.sql")
    assert (refused["error_code"], "/nonexistent/do.sql" in refused["msg"]) == ("dbdeploy_unwritable", True)


def test_a_baseline_can_be_a_script(twin: Folder, tmp_path: Path) -> None:
    twin.write(_1_item=TABLE, _2_later="CREATE TABLE later (a INT);")
    script = tmp_path / "baseline.out"
    assert twin.run(state="baselined", to=1, output_file=str(script))["changed"]
    assert by_client(twin, script) == ""
    assert twin.applied() == [1]
    assert names(twin.run(check=True)["applied"]) == ["2_later.sql"]
