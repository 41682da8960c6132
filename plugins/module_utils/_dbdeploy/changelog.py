# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the database knows of its deltas.

``changelog`` is dbdeploy's own table, in whichever layout it was made; a row stands for a delta that completed.
``changelog_state`` holds what dbdeploy has no place for: how far a delta got, its checksum, its error.
``changelog_drop`` holds the session drops that are due, and those that were done.
"""

from __future__ import annotations

import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.delta import Delta
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._mysql import Connection, quote_identifier

CHANGELOG = """CREATE TABLE IF NOT EXISTS {table} (
  change_number BIGINT NOT NULL,
  delta_set VARCHAR(64) NOT NULL DEFAULT 'Main',
  start_dt TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  complete_dt TIMESTAMP NULL DEFAULT NULL,
  applied_by VARCHAR(100) NOT NULL,
  description VARCHAR(500) NOT NULL,
  PRIMARY KEY (change_number, delta_set)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"""
STATE = """CREATE TABLE IF NOT EXISTS {table} (
  change_number BIGINT NOT NULL,
  delta_set VARCHAR(64) NOT NULL,
  direction ENUM('do', 'undo') NOT NULL,
  checksum CHAR(64) NOT NULL,
  done INT NOT NULL,
  done_hash CHAR(64) NOT NULL,
  running INT NULL,
  complete TINYINT NOT NULL,
  error VARCHAR(2000) NULL,
  PRIMARY KEY (change_number, delta_set)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"""
DROP = """CREATE TABLE IF NOT EXISTS {table} (
  delta_set VARCHAR(64) NOT NULL,
  tag VARCHAR(190) NOT NULL,
  recorded_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  done_at TIMESTAMP NULL DEFAULT NULL,
  PRIMARY KEY (delta_set, tag)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"""


class Progress:
    """How far a delta that is not complete got: ``done`` statements for sure, ``running`` one whose end is unknown.

    ``done_hash`` is the digest of the statements that are done, ``direction`` is ``do`` or ``undo``.
    """

    def __init__(self, direction: str, done: int, done_hash: str, running: int | None = None) -> None:
        self.direction = direction
        self.done = done
        self.done_hash = done_hash
        self.running = running


class Changelog:
    """The three tables of one delta set, over one connection with autocommit off."""

    def __init__(self, connection: Connection, table: str, delta_set: str) -> None:
        self.connection = connection
        self.name = table
        self.delta_set = delta_set
        self.table = quote_identifier(table)
        self.state = quote_identifier(f"{table}_state")
        self.drop = quote_identifier(f"{table}_drop")
        self.columns = self._columns(table)

    def query(self, sql: str, values: tuple[t.Any, ...] = ()) -> list[tuple[t.Any, ...]]:
        """The rows of one statement."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return list(cursor.fetchall() or ())

    def _columns(self, table: str) -> set[str]:
        rows = self.query(
            "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s",
            (table,),
        )
        return {name.lower() for (name,) in rows}

    def _exists(self, suffix: str) -> bool:
        return bool(self._columns(self.name + suffix))

    @property
    def _in_set(self) -> str:
        """The condition on the delta set; tables of dbdeploy 3 have none, and hold one set."""
        if "delta_set" in self.columns:
            return "delta_set = %s"
        if self.delta_set != "Main":
            raise LampError(
                "dbdeploy_no_delta_set",
                f"The table {self.name} was made by dbdeploy 3 and holds one delta set, not {self.delta_set}.",
                "Use another changelog_table for this delta set.",
            )
        return "%s = 'Main'"

    def create(self) -> None:
        """Make the tables that are missing."""
        for table, ddl, suffix in (
            (self.table, CHANGELOG, ""),
            (self.state, STATE, "_state"),
            (self.drop, DROP, "_drop"),
        ):
            if not self._exists(suffix):
                self.query(ddl.format(table=table))
        self.columns = self._columns(self.name)

    def applied(self) -> tuple[set[int], set[int]]:
        """The numbers that are complete, and those that another tool began and never completed."""
        if not self.columns:
            return set(), set()
        rows = self.query(
            f"SELECT change_number, complete_dt IS NOT NULL FROM {self.table} WHERE {self._in_set}", (self.delta_set,)
        )
        return {int(number) for number, complete in rows if complete}, {
            int(number) for number, complete in rows if not complete
        }

    def checksums(self) -> dict[int, str]:
        """The checksums of complete deltas, where they were recorded."""
        if not self._exists("_state"):
            return {}
        rows = self.query(
            f"SELECT change_number, checksum FROM {self.state} WHERE delta_set = %s AND complete = 1", (self.delta_set,)
        )
        return {int(number): checksum for number, checksum in rows}

    def unfinished(self) -> dict[int, Progress]:
        """The deltas that began and did not complete."""
        if not self._exists("_state"):
            return {}
        rows = self.query(
            f"SELECT change_number, direction, done, done_hash, running FROM {self.state}"
            " WHERE delta_set = %s AND complete = 0",
            (self.delta_set,),
        )
        return {int(row[0]): Progress(*row[1:]) for row in rows}

    def drops(self) -> dict[str, bool]:
        """The recorded drops: tag to whether it was done."""
        if not self._exists("_drop"):
            return {}
        rows = self.query(f"SELECT tag, done_at IS NOT NULL FROM {self.drop} WHERE delta_set = %s", (self.delta_set,))
        return {tag: bool(done) for tag, done in rows}

    def record_drop(self, tag: str) -> None:
        """Record a drop as due; one that was recorded before stays as it is."""
        self.query(f"INSERT IGNORE INTO {self.drop} (delta_set, tag) VALUES (%s, %s)", (self.delta_set, tag))

    def drops_done(self) -> None:
        """Mark all due drops as done."""
        self.query(
            f"UPDATE {self.drop} SET done_at = CURRENT_TIMESTAMP, recorded_at = recorded_at"
            " WHERE delta_set = %s AND done_at IS NULL",
            (self.delta_set,),
        )

    def progress(self, delta: Delta, progress: Progress, error: str | None = None) -> None:
        """Record, in the open transaction, how far ``delta`` got."""
        self.query(
            f"REPLACE INTO {self.state} (change_number, delta_set, direction, checksum, done, done_hash, running,"
            " complete, error) VALUES (%s, %s, %s, %s, %s, %s, %s, 0, %s)",
            (
                delta.number, self.delta_set, progress.direction, delta.checksum, progress.done, progress.done_hash,
                progress.running, error and error[:2000],
            ),
        )  # fmt: skip

    def complete(self, delta: Delta) -> None:
        """Record ``delta`` as applied, in the open transaction."""
        values = {
            "change_number": delta.number,
            "delta_set": self.delta_set,
            "applied_by": self._user(),
            "description": delta.name[:500],
            "checksum": delta.checksum,
        }
        names: list[str] = [name for name in values if name in self.columns]
        times: list[str] = [name for name in ("start_dt", "complete_dt") if name in self.columns]
        marks = ", ".join(["%s"] * len(names) + ["CURRENT_TIMESTAMP"] * len(times))
        self.query(
            f"REPLACE INTO {self.table} ({', '.join(names + times)}) VALUES ({marks})",
            tuple(values[name] for name in names),
        )
        self.remember(delta)

    def remember(self, delta: Delta) -> None:
        """Record the checksum of a delta that is applied."""
        self.query(
            f"REPLACE INTO {self.state} (change_number, delta_set, direction, checksum, done, done_hash, running,"
            " complete) VALUES (%s, %s, 'do', %s, %s, %s, NULL, 1)",
            (delta.number, self.delta_set, delta.checksum, len(delta.statements), delta.checksum),
        )

    def forget(self, delta: Delta) -> None:
        """Take ``delta`` out of the changelog, as it was undone."""
        self.query(
            f"DELETE FROM {self.table} WHERE change_number = %s AND {self._in_set}", (delta.number, self.delta_set)
        )
        self.query(
            f"DELETE FROM {self.state} WHERE change_number = %s AND delta_set = %s", (delta.number, self.delta_set)
        )

    def _user(self) -> str:
        return str(self.query("SELECT LEFT(CURRENT_USER(), 100)")[0][0])
