# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the database knows of its deltas.

``changelog`` is dbdeploy's own table, in whichever layout it was made; a row stands for a delta that completed.
``changelog_state`` holds what dbdeploy has no place for: how far a delta got, its checksum, its error.
``changelog_drop`` holds the session drops that are due, and those that were done.

What is written beside a delta's own statements is made here as SQL and sent by the runner in the same packet. It must
mean the same under whatever settings a delta gave the session: text is written in hexadecimal, and dates that are to
stay are named.
"""

from __future__ import annotations

import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.delta import Delta
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.session import Session
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._mysql import quote_identifier

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
  file_hash CHAR(64) NOT NULL,
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
SET_LENGTH = 64  # characters of a delta set's name in these tables
NATIVE = {"change_number", "delta_set", "start_dt", "complete_dt", "applied_by", "description"}
APPLIED_COLUMNS = ("change_number", "delta_set", "start_dt", "complete_dt", "applied_by", "description", "checksum")
STATE_COLUMNS = "change_number, delta_set, direction, checksum, file_hash, done, done_hash, running, complete, error"


def literal(text: str) -> str:
    """``text`` as SQL that no ``sql_mode`` and no character set reads otherwise."""
    return f"_utf8mb4 X'{text.encode('utf-8', 'replace').hex()}'"


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
    """The three tables of one delta set."""

    def __init__(self, session: Session, table: str, delta_set: str) -> None:
        self.session = session
        self.query = session.query
        self.name = table
        self.delta_set = delta_set
        self.set_literal = literal(delta_set)
        self.table = quote_identifier(table)
        self.state = quote_identifier(f"{table}_state")
        self.drop = quote_identifier(f"{table}_drop")
        self.release_tags: list[str] = []  # drops to record with the next delta that completes, or to forget with it
        self.again: list[str] = []  # those of them that were done, and are due anew
        self.look()

    @property
    def tables(self) -> tuple[str, ...]:
        """Its tables, quoted."""
        return (self.table, self.state, self.drop) if self.has_drop else (self.table, self.state)

    def look(self) -> None:
        """See which of the tables are there, and how they were made."""
        found = self.query(
            " UNION ALL ".join(
                "SELECT TABLE_NAME, COLUMN_NAME, CHARACTER_MAXIMUM_LENGTH FROM information_schema.COLUMNS"
                f" WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {literal(self.name + suffix)}"
                for suffix in ("", "_state", "_drop")
            )
        )
        layouts: dict[str, set[str]] = {}
        name = self.name.lower()
        self.longest_set = SET_LENGTH
        for table, column, length in found:
            layouts.setdefault(table.lower(), set()).add(column.lower())
            if (table.lower(), column.lower()) == (name, "delta_set"):
                self.longest_set = min(SET_LENGTH, int(length or SET_LENGTH))
        self.columns = layouts.get(name, set())
        self.has_state = f"{name}_state" in layouts
        self.has_drop = f"{name}_drop" in layouts
        self.transactional = True
        if self.columns:
            (self.transactional,) = self.query(
                "SELECT COALESCE(MAX(e.TRANSACTIONS), 'YES') = 'YES' FROM information_schema.TABLES t"
                " JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE"
                f" WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_NAME = {literal(self.name)}"
            )[0]

    @property
    def _in_set(self) -> str:
        """The condition on the delta set; tables of dbdeploy 3 have none, and hold one set."""
        if len(self.delta_set) > self.longest_set:  # without a strict sql_mode it would be cut off, and not found again
            raise LampError(
                "dbdeploy_no_delta_set",
                f"The table {self.name} holds names of delta sets of up to {self.longest_set} characters, not"
                f" {self.delta_set}.",
                f"Shorten it, widen the column (VARCHAR({SET_LENGTH}) at most), or use another changelog_table.",
            )
        if "delta_set" in self.columns:
            return f"delta_set = {self.set_literal}"
        if self.delta_set != "Main":
            raise LampError(
                "dbdeploy_no_delta_set",
                f"The table {self.name} was made by dbdeploy 3 and holds one delta set, not {self.delta_set}.",
                "Use another changelog_table for this delta set.",
            )
        return "1 = 1"

    def create_sql(self, *, drops: bool) -> list[str]:
        """Makes the tables that are missing, the one of the session drops only where there are ``drops`` to record."""
        tables = (
            (self.table, CHANGELOG, bool(self.columns)),
            (self.state, STATE, self.has_state),
            (self.drop, DROP, self.has_drop or not drops),
        )
        return [ddl.format(table=table) for table, ddl, exists in tables if not exists]

    def create(self, *, drops: bool) -> None:
        """Make the tables that are missing; ``drops`` as for ``create_sql``."""
        missing = self.create_sql(drops=drops)
        for sql in missing:
            self.query(sql)
        if missing:
            self.look()

    def foresee(self, *, drops: bool) -> None:
        """Write for the tables as they will be made where there are none; ``drops`` as for ``create_sql``."""
        self.columns = self.columns or NATIVE
        self.has_drop = self.has_drop or drops

    def guard_sql(self, numbers: list[int], *, applied: bool) -> str:
        """Fails with error 1242 unless all of ``numbers`` are applied, or none of them was so much as begun."""
        listed = ", ".join(map(str, numbers))
        rows = f"FROM {self.table} WHERE change_number IN ({listed}) AND {self._in_set}"
        if applied:
            counted = f"SELECT 1 FROM (SELECT COUNT(*) AS n {rows}) AS c WHERE n <> {len(numbers)}"
            return f"SET @lamp_guard = (SELECT 0 UNION ALL {counted})"
        begun = f"FROM {self.state} WHERE change_number IN ({listed}) AND delta_set = {self.set_literal}"
        return f"SET @lamp_guard = (SELECT 0 UNION ALL SELECT 1 {rows} UNION ALL SELECT 1 {begun})"

    def applied(self) -> tuple[set[int], set[int]]:
        """The numbers that are complete, and those that another tool began and never completed."""
        if not self.columns:
            return set(), set()
        rows = self.query(f"SELECT change_number, complete_dt IS NOT NULL FROM {self.table} WHERE {self._in_set}")
        try:
            numbers = [(int(number), complete) for number, complete in rows]
        except ValueError as error:
            raise LampError(
                "dbdeploy_foreign_number",
                f"The table {self.name} holds a change_number that is none: {error}.",
                "Correct or delete that row.",
            ) from error
        complete_ones = {number for number, complete in numbers if complete}
        return complete_ones, {number for number, complete in numbers if not complete}

    def states(self) -> tuple[dict[int, str], dict[int, Progress]]:
        """The digests of the files of complete deltas, and how far the others got that began."""
        if not self.has_state:
            return {}, {}
        of_set = f"FROM {self.state} WHERE delta_set = {self.set_literal}"
        files = self.query(f"SELECT change_number, file_hash {of_set} AND complete")
        begun = self.query(f"SELECT change_number, direction, done, done_hash, running {of_set} AND NOT complete")
        return dict(t.cast("list[tuple[int, str]]", files)), {row[0]: Progress(*row[1:]) for row in begun}

    def checksums(self, numbers: t.Iterable[int]) -> dict[int, str]:
        """The checksums of complete deltas."""
        listed = ", ".join(map(str, numbers))
        rows = self.query(
            f"SELECT change_number, checksum FROM {self.state}"
            f" WHERE delta_set = {self.set_literal} AND complete AND change_number IN ({listed})"
        )
        return dict(t.cast("list[tuple[int, str]]", rows))

    def progress_of(self, delta: Delta, direction: str) -> Progress | None:
        """How far ``delta`` got in that ``direction``, as it would be found after a crash."""
        rows = self.query(
            f"SELECT direction, done, done_hash, running FROM {self.state}"
            f" WHERE change_number = {delta.number} AND delta_set = {self.set_literal} AND complete = 0"
            f" AND direction = '{direction}'"
        )
        return Progress(*rows[0]) if rows else None

    def drops(self) -> dict[str, bool]:
        """The recorded drops: tag to whether it was done."""
        if not self.has_drop:
            return {}
        rows = self.query(f"SELECT tag, done_at IS NOT NULL FROM {self.drop} WHERE delta_set = {self.set_literal}")
        return {tag: bool(done) for tag, done in rows}

    def drop_sql(self, tag: str) -> str:
        """Records a drop as due; one that was recorded before stays as it is, unless it is due ``again``."""
        row = f"INTO {self.drop} (delta_set, tag) VALUES ({self.set_literal}, {literal(tag)})"
        if tag in self.again:
            return f"INSERT {row} ON DUPLICATE KEY UPDATE done_at = NULL, recorded_at = CURRENT_TIMESTAMP"
        return f"INSERT IGNORE {row}"

    def drops_sql(self, deltas: t.Iterable[Delta]) -> list[str]:
        """Records the drops that are due once ``deltas`` are complete: their own, and those of the release."""
        return [self.drop_sql(tag) for tag in [each.drop_tag for each in deltas if each.tagged] + self.release_tags]

    def drops_done(self) -> None:
        """Mark all due drops as done."""
        self.query(
            f"UPDATE {self.drop} SET done_at = CURRENT_TIMESTAMP, recorded_at = recorded_at"
            f" WHERE delta_set = {self.set_literal} AND done_at IS NULL"
        )

    def progress_row(self, delta: Delta, progress: Progress, error: str = "") -> str:
        """What ``state_sql`` records of a delta that is not complete: how far it got."""
        running = "NULL" if progress.running is None else progress.running
        return (
            f"({delta.number}, {self.set_literal}, '{progress.direction}', '{delta.checksum}', '{delta.file_hash}',"
            f" {progress.done}, '{progress.done_hash}', {running}, 0, {literal(error[:2000]) if error else 'NULL'})"
        )

    def complete_row(self, delta: Delta) -> str:
        """What ``state_sql`` records of a delta that is applied: its checksum."""
        return (
            f"({delta.number}, {self.set_literal}, 'do', '{delta.checksum}', '{delta.file_hash}',"
            f" {len(delta.statements)}, '{delta.checksum}', NULL, 1, NULL)"
        )

    def state_sql(self, rows: t.Iterable[str]) -> str:
        """Records ``rows``, whatever was recorded of these deltas before."""
        return f"REPLACE INTO {self.state} ({STATE_COLUMNS}) VALUES {', '.join(rows)}"

    def applied_row(self, delta: Delta, begun: float | None) -> str:
        """What ``applied_sql`` records of a delta; ``begun`` is seconds of the epoch, None means now."""
        values = {
            "change_number": str(delta.number),
            "delta_set": self.set_literal,
            "start_dt": "CURRENT_TIMESTAMP" if begun is None else f"FROM_UNIXTIME({begun:.3f})",
            "complete_dt": "CURRENT_TIMESTAMP",
            "applied_by": "LEFT(CURRENT_USER(), 100)",
            "description": literal(delta.name[:500]),
            "checksum": f"'{delta.fork_checksum}'" if "checksum" in self.columns else "",
        }
        return f"({', '.join(value for name, value in values.items() if name in self.columns)})"

    def applied_sql(self, rows: t.Iterable[str]) -> str:
        """Gives deltas their rows in dbdeploy's own table."""
        names = [name for name in APPLIED_COLUMNS if name in self.columns]
        return f"INSERT INTO {self.table} ({', '.join(names)}) VALUES {', '.join(rows)}"

    def complete_sql(self, delta: Delta, begun: float | None) -> list[str]:
        """Records ``delta`` as applied."""
        return [self.applied_sql([self.applied_row(delta, begun)]), self.state_sql([self.complete_row(delta)])]

    def end_sql(self, delta: Delta) -> list[str]:
        """Records ``delta`` as applied that another tool began; it wrote the rest of its row."""
        kept = ", start_dt = start_dt" if "start_dt" in self.columns else ""
        return [
            f"UPDATE {self.table} SET complete_dt = CURRENT_TIMESTAMP{kept}"
            f" WHERE change_number = {delta.number} AND {self._in_set}",
            self.state_sql([self.complete_row(delta)]),
        ]

    def forget_sql(self, delta: Delta) -> list[str]:
        """Takes ``delta`` out of the changelog, as it was undone; applied again, it drops sessions again."""
        return [
            f"DELETE FROM {self.table} WHERE change_number = {delta.number} AND {self._in_set}",
            self.forget_progress_sql(delta),
            *self.forget_drops_sql([delta]),
        ]

    def forget_drops_sql(self, deltas: t.Iterable[Delta]) -> list[str]:
        """Takes back the drops of ``deltas``, which are undone, and those of the release, be they done or due."""
        tags = [each.drop_tag for each in deltas if each.tagged] + self.release_tags
        if not (tags and self.has_drop):
            return []
        listed = ", ".join(map(literal, tags))
        return [f"DELETE FROM {self.drop} WHERE delta_set = {self.set_literal} AND tag IN ({listed})"]

    def forget_progress_sql(self, delta: Delta) -> str:
        """As if ``delta`` had never begun."""
        return f"DELETE FROM {self.state} WHERE change_number = {delta.number} AND delta_set = {self.set_literal}"

    def commit_sql(self, statements: t.Sequence[str], *, alone: bool) -> list[str]:
        """``statements`` and a COMMIT.

        ``alone``: the delta may have changed how the server reads, so each goes by itself and as plain as can be.
        """
        return [*statements, "COMMIT"] if alone else self.block_sql([*statements, "COMMIT"])

    def block_sql(self, statements: t.Sequence[str]) -> list[str]:
        """``statements`` in one question where the server knows blocks outside of routines."""
        if self.session.compound and len(statements) > 1:
            return [f"BEGIN NOT ATOMIC {'; '.join(statements)}; END"]
        return list(statements)

    def write(self, statements: t.Sequence[str]) -> None:
        """Run statements of the records alone, and commit."""
        for statement in [*statements, "COMMIT"]:
            self.query(statement)
