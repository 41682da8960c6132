# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says of whether anything took effect: a failed deploy puts back and opens only where nothing did."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils import _mysql
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.lock import NamedLock
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.session import Session
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.tables import Tables
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

from tests.support.deltas import DEFAULTS, TABLE, Folder
from tests.support.servers.base import free_port


def test_a_run_with_nothing_to_do_or_that_fails_before_its_first_delta_changed_nothing(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE)
    first, second = deltas.run(drop_tags=["a"]), deltas.run()
    assert (first["database_changed"], second["database_changed"], second["changed"]) == (True, False, False)
    assert deltas.here(drop_tags=["b"])["database_changed"] is False, "that is its own record"
    deltas.write(_2_more="ALTER TABLE item ADD extra INT;")
    assert "database_changed" not in deltas.here(check=True)
    away: dict[str, Any] = {"login_unix_socket": None, "login_host": "127.0.0.1", "login_port": free_port()}
    named = f"lamp.dbdeploy.{deltas.database}.changelog"
    with _mysql.connect({**DEFAULTS, **deltas.arguments()}) as other:
        _mysql.query(other, f"SELECT GET_LOCK('{named}', 0)")
        failed = [deltas.here(**away), deltas.here(lock_timeout=0.1), deltas.here(src=f"{deltas.path}/nowhere")]
    deltas.write(_1_item=TABLE.replace("20", "30"))
    failed.append(deltas.here())
    deltas.write(_1_item=TABLE)
    failed.append(deltas.run(**away))
    failed.append(deltas.run(src=f"{deltas.path}/nowhere"))
    codes = ["unreachable", "dbdeploy_locked", "no_folder", "dbdeploy_changed", "unreachable", "no_folder"]
    for result, code in zip(failed, codes, strict=True):
        assert code in result["error_code"], result
        assert result["database_changed"] is False, result


def test_what_fails_after_the_deltas_does_not_say_that_nothing_changed(
    deltas: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free(_lock: NamedLock) -> None:
        raise LampError("dbdeploy_lock_lost", "The lock is gone.")

    monkeypatch.setattr(NamedLock, "free", free)
    deltas.write(_1_item=TABLE)
    assert "database_changed" not in deltas.here()
    assert deltas.rows("SHOW TABLES LIKE 'item'") == [("item",)]


LOST = LampError("dbdeploy_lock_lost", "The lock is gone.")
ALTER = "ALTER TABLE item ADD extra INT"
ALONE = f"{ALTER} /*! NULL */"  # which goes in a packet of its own
# The first statement of a delta, which takes effect, by what happens once the server has answered it.
AFTER = {
    "the lock is lost": (ALTER, "dbdeploy_lock_lost"),
    "the lock is lost, each statement alone": (ALONE, "dbdeploy_lock_lost"),
    "the lock is lost after a procedure": ("CALL commits()", "dbdeploy_lock_lost"),
    "the connection is lost at a look at the tables": (ALONE, "dbdeploy_connection_lost"),
    "the connection is lost after a procedure": ("CALL commits()", "dbdeploy_connection_lost"),
    "a record is refused": (ALONE, "dbdeploy_records"),
    "a record waits too long": (ALONE, "dbdeploy_records"),
    "a record waits too long after other DDL": ("ANALYZE TABLE item", "dbdeploy_records"),
}


def happen(fault: str, deltas: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``fault`` says, where a statement was answered."""
    answered: list[str] = []
    ask, look = Session.ask, Tables.refresh

    def it_was() -> bool:
        return any("extra" in sql or "CALL" in sql for sql in answered)

    def asking(session: Session, statements: list[str]) -> None:
        if fault == "the connection is lost after a procedure" and it_was():
            session.connection.close()
        ask(session, statements)
        answered.extend(statements)  # by the time that the next are asked

    def refresh(tables: Tables) -> None:
        if fault == "the connection is lost at a look at the tables" and it_was():
            tables.session.connection.close()
        look(tables)

    def check(_lock: NamedLock) -> None:
        if it_was():
            raise LOST

    monkeypatch.setattr(Session, "ask", asking)
    monkeypatch.setattr(Tables, "refresh", refresh)
    if fault.startswith("the lock"):
        monkeypatch.setattr(Session, "packets", property(lambda _: False, lambda *_: None), raising=False)
        monkeypatch.setattr(NamedLock, "check", check)
    elif fault.startswith("a record"):
        number = 1205 if "waits" in fault else 1290
        deltas.rows(
            "CREATE TRIGGER refuse BEFORE INSERT ON changelog_state FOR EACH ROW IF NEW.done = 1 AND NEW.complete = 0"
            f" THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'refused'; END IF"
        )


@pytest.mark.parametrize("direction", ["do", "undo"])
@pytest.mark.parametrize("fault", AFTER)
def test_what_was_answered_counts_whatever_ends_the_run_after_it_and_runs_once(
    deltas: Folder, monkeypatch: pytest.MonkeyPatch, fault: str, direction: str
) -> None:
    statement, code = AFTER[fault]
    deltas.rows(TABLE)
    deltas.rows("CREATE PROCEDURE commits() BEGIN INSERT INTO item VALUES (1, 'a'); COMMIT; END")
    text = f"{statement};\nINSERT INTO item (id) VALUES (2);"
    deltas.write(_1_first="DO 1;", _2_more=text if direction == "do" else f"DO 1;\n-- @UNDO\n{text}")
    options: dict[str, Any] = {} if direction == "do" else {"state": "undone", "to": 1}
    deltas.here(to=1 if direction == "do" else 2)
    with monkeypatch.context() as patch:
        happen(fault, deltas, patch)
        result = deltas.here(**options)
    assert (result.get("error_code"), result["database_changed"]) == (code, True), result
    deltas.rows("DROP TRIGGER IF EXISTS refuse")
    again = deltas.here(**options)
    if again.get("failed"):
        assert (again["error_code"], again["unknown"][0]["statement"]) == ("dbdeploy_unknown_outcome", 1), again
        again = deltas.here(on_unknown="skip", **options)
    assert not again.get("failed"), again
    assert deltas.rows("SELECT COUNT(*) FROM item WHERE id = 2") == [(1,)]


def test_what_was_rolled_back_or_refused_did_not_take_effect(deltas: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    deltas.rows(TABLE)
    for text in (
        "INSERT INTO item VALUES (1, 'a');\nINSERT INTO nowhere VALUES (1);",
        "ALTER TABLE nowhere ADD extra INT;\nDO 1;",
        "ALTER TABLE nowhere ADD extra INT /*! NULL */;\nDO 1;",
        "CALL nowhere();\nDO 1;",
    ):
        deltas.write(_1_first=text)
        result = deltas.here()
        assert (result["error_code"], result["database_changed"]) == ("dbdeploy_statement_failed", False), result
    deltas.write(_1_first="INSERT INTO item VALUES (1, 'a');\nINSERT INTO item VALUES (2, 'extra');")
    happen("the lock is lost", deltas, monkeypatch)
    result = deltas.here()
    assert (result["error_code"], result["database_changed"]) == ("dbdeploy_lock_lost", False)
    assert deltas.rows("SELECT id FROM item") == []


@pytest.mark.parametrize(
    "ddl",
    [
        "DROP TABLE item, missing",
        "CREATE OR REPLACE TABLE item (id INT PRIMARY KEY) SELECT 1 AS id UNION ALL SELECT 1",
        "CREATE OR REPLACE TABLE item (id INT, name INT NOT NULL) SELECT 1 AS id",
    ],
)
def test_ddl_that_failed_after_it_had_dropped_a_table_does_not_say_that_nothing_changed(
    deltas: Folder, ddl: str
) -> None:
    deltas.rows(TABLE)
    deltas.write(_1_first=f"{ddl};\nDO 1;")
    result = deltas.here()
    assert deltas.rows("SHOW TABLES LIKE 'item'") == []
    assert (result["error_code"], result["database_changed"]) == ("dbdeploy_unknown_outcome", True), result
    assert deltas.here()["error_code"] == "dbdeploy_unknown_outcome"
    assert not deltas.here(on_unknown="skip").get("failed")
