# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runner, connection and server are killed at every statement of a delta, and between them; a later run makes it good.

A delta is held at a chosen place by a lock of the test's own: at a row of ``gate`` (between two statements), at a table
that a transaction has read (inside of DDL, which has committed and not taken effect), at its own record (after the DDL,
of which nobody is told). Then the fault happens, and the same run is made again. It must leave what a run leaves that
was never disturbed, or ask; what it asks about must be what was held, and either answer must lead there, too.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.session import Session
from pymysql.constants import CLIENT

from tests.support.deltas import Folder, Victim
from tests.support.servers.base import wait_until
from tests.support.servers.mariadb import MariaDB

FAULTS = ["runner", "runner and its statement", "connection", "server"]
SETUP = [
    "CREATE TABLE gate (id INT PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB",
    "INSERT INTO gate SELECT seq, 0 FROM seq_1_to_9",
    *(f"CREATE TABLE t{number} (id INT PRIMARY KEY, n INT) ENGINE=InnoDB" for number in (1, 2, 3)),
    *(f"INSERT INTO t{number} VALUES (1, 1), (2, 2)" for number in (1, 2, 3)),
    "CREATE PROCEDURE two_steps() BEGIN INSERT INTO t1 VALUES (7, 7); COMMIT; UPDATE gate SET n = n + 1 WHERE id = 9;"
    " INSERT INTO t1 VALUES (8, 8); END",
]  # sent in one packet
LOG = "CREATE TABLE log (n INT) ENGINE=MyISAM"
CAREFUL = ("careful", "myisam", "undo")


def gate(number: int) -> str:
    return f"UPDATE gate SET n = n + 1 WHERE id = {number};\n"


MIXED = (
    "INSERT INTO t3 VALUES (3, 3);\n" + gate(1) + "ALTER TABLE t1 ADD a INT;\n" + gate(2) + "UPDATE t1 SET a = n;\n"
    + gate(3) + "ALTER TABLE t2 ADD b INT;\nUPDATE t2 SET b = n;\n" + gate(4)
)  # fmt: skip
DELTAS = {
    "dml": [
        gate(1) + "INSERT INTO t1 VALUES (3, 3);\n" + gate(2) + "UPDATE t2 SET n = n + 1;\n" + gate(3)
        + "DELETE FROM t3 WHERE id = 1;\n" + gate(4)
    ],
    "ddl": ["ALTER TABLE t1 ADD a INT;\nALTER TABLE t2 ADD b INT;\nALTER TABLE t3 DROP n;\n"],
    "mixed": [MIXED],
    "together": [
        "INSERT INTO t1 VALUES (3, 3);\n" + gate(1),
        gate(2) + "UPDATE t2 SET n = n + 1;\n",
        gate(3) + "ALTER TABLE t1 ADD a INT;\n" + gate(4) + "UPDATE t1 SET a = n;\n",
        gate(5) + "DELETE FROM t3 WHERE id = 1;\n",
        "INSERT INTO t3 VALUES (9, 9);\n" + gate(6),
    ],
    "careful": [MIXED],
    "settings": [
        "SET @n = 5;\n" + gate(1) + "ALTER TABLE t1 ADD a INT;\n" + gate(2) + "UPDATE t1 SET a = @n;\n",
    ],
    "myisam": [
        "INSERT INTO t1 VALUES (3, 3);\nINSERT INTO log VALUES (1);\n" + gate(1) + "INSERT INTO log VALUES (2);\n",
    ],
    "procedure": [gate(1) + "CALL two_steps();\n" + gate(2) + "INSERT INTO t2 VALUES (3, 3);\n"],
    "undo": ["DO 1;\n-- @UNDO\n" + MIXED],
}  # fmt: skip
UNDECIDED = {"together": 3}  # the delta whose statement a fault may leave open, where it is not the first
OPTIONS: dict[str, dict[str, Any]] = {kind: {} for kind in DELTAS} | {"undo": {"state": "undone", "to": 0}}
HOLDS = {
    "dml": ["gate 1", "gate 2", "gate 3", "gate 4", "row t2", "row changelog"],
    "ddl": ["table t1", "table t2", "table t3", "record t1", "record t2", "record t3"],
    "mixed": [
        "gate 1",
        "gate 2",
        "gate 3",
        "gate 4",
        "table t1",
        "table t2",
        "record t1",
        "record t2",
        "row changelog",
    ],
    "together": [
        "gate 1",
        "gate 2",
        "gate 3",
        "gate 4",
        "gate 5",
        "gate 6",
        "table t1",
        "record t1",
        "row t2",
        "row changelog",
    ],
    "careful": ["gate 2", "table t1", "record t2", "row changelog"],
    "settings": ["gate 1", "gate 2", "table t1", "record t1"],
    "myisam": ["gate 1", "write log"],
    "procedure": ["gate 1", "gate 2", "gate 9"],
    "undo": ["gate 1", "gate 3", "table t2", "record t2"],
}
CERTAIN = {*(f"gate {number}" for number in range(1, 7)), "row t2", "row changelog"}  # nothing there can be left open


@pytest.fixture(scope="module")
def own_server() -> Iterator[MariaDB]:
    """A server that may be killed, and keeps what it said it has."""
    with MariaDB(durable=True) as server:
        assert isinstance(server, MariaDB)
        yield server


def fresh(folder: Path, server: MariaDB, kind: str) -> Folder:
    """A database with something in it, and the deltas."""
    database = f"test_{secrets.token_hex(4)}"
    server.query(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    deltas = Folder(folder, server, database)
    with server.connect(database, client_flag=CLIENT.MULTI_STATEMENTS) as connection, connection.cursor() as cursor:
        cursor.execute(";".join([*SETUP, LOG] if kind in CAREFUL else SETUP))
        while cursor.nextset():
            pass
    deltas.write(_0_first="DO 1;", **{f"{number}_delta": text for number, text in enumerate(DELTAS[kind], 1)})
    assert not deltas.here(to=1 if kind == "undo" else 0).get("failed")
    return deltas


def content(deltas: Folder) -> dict[str, Any]:
    """All there is in the database, apart from dates."""
    shown: dict[str, Any] = {"applied": deltas.applied()}
    with deltas.server.connect(deltas.database) as connection, connection.cursor() as cursor:
        cursor.execute(f"SHOW TABLES WHERE Tables_in_{deltas.database} NOT LIKE 'changelog%'")
        for (table,) in cursor.fetchall():
            for sql in (f"SHOW CREATE TABLE {table}", f"SELECT * FROM {table} ORDER BY 1"):
                cursor.execute(sql)
                shown[sql] = cursor.fetchall()
    return shown


class Hold:
    """Keeps a run at a place until it is let go; ``number`` is that of the delta whose records can be held."""

    def __init__(self, deltas: Folder, place: str, number: int) -> None:
        self.kind, _, self.name = place.partition(" ")
        self.number = number
        self.deltas = deltas
        self.holder = self._lock(
            {
                "gate": f"SELECT n FROM gate WHERE id = {self.name} FOR UPDATE",
                "row": f"SELECT * FROM {self.name} FOR UPDATE",
                "table": f"SELECT * FROM {self.name}",
                "record": f"SELECT * FROM {self.name}",
                "write": f"LOCK TABLES {self.name} READ",
            }[self.kind]
        )

    def _lock(self, sql: str) -> pymysql.Connection[Any]:
        holder = self.deltas.server.connect(self.deltas.database, autocommit=False)
        holder.query(sql)
        return holder

    def wait(self, victim: Victim) -> int:
        """Until the delta is there. Returns its connection."""
        connection = victim.waits_at(
            {
                "gate": "UPDATE gate SET n = n + 1 WHERE id =%",
                "row": "UPDATE t2" if self.name == "t2" else "%changelog",
                "table": f"ALTER TABLE {self.name} ",
                "record": f"ALTER TABLE {self.name} ",
                "write": f"INSERT INTO {self.name} ",
            }[self.kind]
        )
        if self.kind == "record":  # it has written that the ALTER runs; let that end, but not write that it did
            second = self._lock(f"SELECT * FROM changelog_state WHERE change_number = {self.number} FOR UPDATE")
            self.holder.close()
            self.holder = second
            victim.waits_at("%changelog")
        return connection

    def let_go(self) -> None:
        with contextlib.suppress(pymysql.err.Error):
            self.holder.close()


def strike(fault: str, deltas: Folder, victim: Victim, hold: Hold, connection: int) -> None:
    """The fault, and all that follows from it without anybody's doing."""
    server = deltas.server
    if fault == "server":
        server.kill()
        assert victim.result()["error_code"] == "dbdeploy_connection_lost"
        hold.let_go()
        server.start()
        return
    if fault != "connection":
        victim.kill()
    if fault != "runner":
        server.query(f"KILL {connection}")
    hold.let_go()
    if fault == "connection":
        assert victim.result()["error_code"] == "dbdeploy_connection_lost"
    mine = f"SELECT 1 FROM information_schema.PROCESSLIST WHERE DB = '{deltas.database}' AND ID <> CONNECTION_ID()"
    wait_until(lambda: not server.query(mine), "the end of the run's connections")


def answer(deltas: Folder, place: str) -> str:
    """What somebody would answer who looked at the database."""
    kind, _, name = place.partition(" ")
    if kind in ("table", "record"):
        columns = {row[0] for row in deltas.rows(f"SHOW COLUMNS FROM {name}")}
        return "skip" if columns & {"a", "b"} or (name == "t3" and "n" not in columns) else "retry"
    if kind == "write":
        return "skip" if deltas.rows("SELECT 1 FROM log") else "retry"
    assert place == "gate 9"
    if not deltas.rows("SELECT 1 FROM t1 WHERE id = 8"):  # the procedure did its first half
        deltas.rows("UPDATE gate SET n = n + 1 WHERE id = 9")
        deltas.rows("INSERT INTO t1 VALUES (8, 8)")
    return "skip"


@pytest.fixture(scope="module")
def undisturbed(own_server: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> tuple[MariaDB, dict[str, Any]]:
    """The server, and what each delta leaves there when nothing happens."""
    found = {}
    for kind in DELTAS:
        deltas = fresh(tmp_path_factory.mktemp(kind), own_server, kind)
        assert not deltas.here(**OPTIONS[kind]).get("failed")
        found[kind] = content(deltas)
        own_server.query(f"DROP DATABASE {deltas.database}")
    return own_server, found


def test_what_is_to_travel_together_does(own_server: MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deltas, ask, packets = fresh(tmp_path, own_server, "together"), Session.ask, []

    def spy(session: Session, statements: list[str]) -> None:
        packets.append([number for number in range(1, 7) if any(gate(number)[:-2] in sql for sql in statements)])
        ask(session, statements)

    monkeypatch.setattr(Session, "ask", spy)
    assert not deltas.here().get("failed")
    own_server.query(f"DROP DATABASE {deltas.database}")
    assert packets == [[1, 2, 3, 4], [5, 6]]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", DELTAS)
def test_a_later_run_makes_good_what_a_fault_left(
    kind: str,
    fault: str,
    undisturbed: tuple[MariaDB, dict[str, Any]],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    own_server, left = undisturbed
    for place in HOLDS[kind]:
        folder = tmp_path / place
        folder.mkdir()
        deltas = fresh(folder, own_server, kind)
        hold = Hold(deltas, place, UNDECIDED.get(kind, 1))
        with deltas.victim(**OPTIONS[kind]) as victim:
            strike(fault, deltas, victim, hold, hold.wait(victim))
        again = deltas.here(**OPTIONS[kind])
        if again.get("failed"):
            assert (again["error_code"], place, again["unknown"][0]["number"]) == (
                "dbdeploy_unknown_outcome", place if place not in CERTAIN else "certain", UNDECIDED.get(kind, 1),
            ), again["msg"]  # fmt: skip
            again = deltas.here(on_unknown=answer(deltas, place), **OPTIONS[kind])
        assert not again.get("failed"), (place, again)
        assert content(deltas) == left[kind], place
        assert not deltas.here(**OPTIONS[kind])["changed"]
        own_server.query(f"DROP DATABASE {deltas.database}")
    record_property(f"counted faults survived by dbdeploy: {fault} killed", len(HOLDS[kind]))
