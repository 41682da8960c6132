# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One table of MariaDB or MySQL: looked at, emptied, exchanged, and its rows deleted a few at a time."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _mysql
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

REFERENCED, DENIED, NO_DROP = 1701, 1142, 1227
# No member of a cluster any more, shutting down, killed, and what the library says of a connection that is closed.
GONE = (1047, 1053, 1927, 2006, 2013, 0)
CHUNK = 5000  # rows that one DELETE removes: short transactions, also for replicas and Galera
GROUPS = 500  # of rows, that one DELETE removes
TRIES = 5  # of a statement that met a deadlock, or another node's write
LONGEST = 64  # characters of a table's name
ASIDE, SIGNS, LENGTH = "_purged_", "bcdfghjklmnpqrstvwxz", 8  # of what is put aside: no date, number or word is like it
GRANT = re.compile(r"GRANT (.+?) ON (?:\*|`((?:[^`]|``)+)`)\.(?:\*|`((?:[^`]|``)+)`) TO ")


class Table:
    """The table ``name``, which may be qualified with its database."""

    def __init__(self, connection: _mysql.Connection, name: str) -> None:
        self.connection = connection
        self.name = name
        database, _dot, self.bare = name.rpartition(".")
        self.database = self.literal(database) if database else "DATABASE()"
        self.prefix = _mysql.quote_identifier(database) + "." if database else ""
        self.quoted = self.prefix + _mysql.quote_identifier(self.bare)

    # -- statements

    def literal(self, value: t.Any) -> str:
        """A value as SQL, whatever backslashes mean to the server: older PyMySQL knows that for texts alone."""
        return f"X'{value.hex()}'" if isinstance(value, bytes) else str(self.connection.escape(value))

    def query(self, sql: str) -> list[tuple[t.Any, ...]]:
        """The rows that a statement gives."""
        return self._run(sql)[1]

    def change(self, sql: str) -> int:
        """How many rows a statement changed. A conflict took nothing into effect, and it is tried again."""
        for _try in range(TRIES):
            try:
                return self._run(sql)[0]
            except LampError as error:
                if error.details.get("server_error") not in _mysql.CONFLICTS:
                    raise
        return self._run(sql)[0]

    def _run(self, sql: str) -> tuple[int, list[tuple[t.Any, ...]]]:
        try:
            with self.connection.cursor() as cursor:
                changed = cursor.execute(sql)
                return int(changed), list(cursor.fetchall() or ())
        except Exception as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> LampError:
        number = error.args[0] if error.args else 0
        text = error.args[1] if len(error.args) > 1 else str(error)
        if number == _mysql.NO_TABLE:
            return LampError(
                "session_purge_no_table",
                f"A table is missing: {text}.",
                "Check table, layout and login_db; epoch_table and layout if it is the table of the epochs.",
            )
        if number == _mysql.LOCK_WAIT:
            holders = _mysql.lock_holders(self.connection, self.database, self.literal(self.bare))
            return LampError(
                "session_purge_locked",
                f"The table {self.name} is held by others: {holders}.",
                "End them, or wait until they are done, or choose another on_lock.",
                server_error=number,
            )
        if number in GONE:
            return LampError(
                "session_purge_unreachable",
                f"The database server was lost while it purged {self.name}: {text or 'the connection is closed'}.",
                "See that it runs, or name another node of its cluster in login_host, and run the purge again.",
            )
        return LampError(
            "session_purge_failed",
            f"The sessions in {self.name} cannot be purged: {text} (error {number}).",
            "Check where, columns, and the grants of login_user.",
            server_error=number,
        )

    # -- what the server knows of it

    def exists(self) -> bool:
        """Whether the table is there."""
        return bool(self.query(f"SELECT 1 FROM information_schema.TABLES WHERE {self._here()}"))

    def columns(self) -> dict[str, str]:
        """Its columns that can be written, and their types."""
        rows = self.query(
            "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS"
            f" WHERE {self._here()} AND COALESCE(GENERATION_EXPRESSION, '') = '' ORDER BY ORDINAL_POSITION"
        )
        return {name: kind.lower() for name, kind in rows}

    def kind(self, column: str) -> str:
        """The type of a column, as ``int`` or ``datetime``; empty where there is no such column."""
        rows = self.query(
            f"SELECT DATA_TYPE FROM information_schema.COLUMNS WHERE {self._here()}"
            f" AND COLUMN_NAME = {self.literal(column)}"
        )
        return str(rows[0][0]).lower() if rows else ""

    def _here(self, schema: str = "TABLE_SCHEMA", table: str = "TABLE_NAME") -> str:
        return f"{schema} = {self.database} AND {table} = {self.literal(self.bare)}"

    def _key(self) -> list[str]:
        rows = self.query(
            "SELECT COLUMN_NAME FROM information_schema.STATISTICS"
            f" WHERE {self._here()} AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX"
        )
        return [_mysql.quote_identifier(name) for (name,) in rows]

    def count(self, condition: str = "TRUE", group: str = "", limit: int = 0) -> int:
        """Rows that meet the condition, or groups of them by a column; counting stops at ``limit``."""
        rows = self.query(f"SELECT COUNT(*) FROM ({self._select('1', condition, group, limit)}) AS found")
        return int(rows[0][0])

    def _select(self, what: str, condition: str, group: str, limit: int, span: str = "TRUE") -> str:
        where = f"{group} IS NOT NULL AND {span} GROUP BY {group} HAVING {condition}" if group else condition
        return f"SELECT {what} FROM {self.quoted} WHERE {where}" + (f" LIMIT {limit}" if limit else "")

    # -- what this user may do

    def check_removal(self, at_once: bool) -> None:
        """See whether the server would let this user remove rows, ``at_once`` without DELETE if no other table hinders.

        :raises LampError: ``session_purge_denied``
        """
        if not at_once or self._is_referenced() or self._lacking("DROP"):
            self.check_change(f"DELETE FROM {self.quoted} WHERE FALSE")

    def _is_referenced(self) -> bool:
        """Whether foreign keys of other tables point here."""
        keys = self._here("REFERENCED_TABLE_SCHEMA", "REFERENCED_TABLE_NAME")
        return bool(
            self.query(f"SELECT 1 FROM information_schema.KEY_COLUMN_USAGE WHERE {keys} AND NOT ({self._here()})")
        )

    def check_change(self, sql: str) -> None:
        """See whether the server would let this user carry out a statement, which EXPLAIN does not.

        :raises LampError: ``session_purge_denied``
        """
        try:
            self._run(f"EXPLAIN {sql}")
        except LampError as error:
            number = error.details.get("server_error")
            if number == DENIED:
                cause = getattr(error.__cause__, "args", (number, ""))[1]
                raise LampError(
                    "session_purge_denied",
                    f"The sessions in {self.name} could not be removed: {cause}. Nothing was purged.",
                    "Grant it to login_user.",
                ) from error
            if number != _mysql.LOCK_WAIT:  # who holds it now may have let go of it by then
                raise

    # -- changes

    def empty(self, wait: int, exchange: bool, deny_lock: bool) -> bool:
        """Empty it at once; False where that is not possible: no DROP, foreign keys point here, others hold it.

        :param exchange: if possible put aside what it held: TRUNCATE takes as long as the removal of the table's file
        :raises LampError: ``session_purge_locked`` when others hold it and ``deny_lock`` is set
        """
        try:
            if not (exchange and self._put_aside(wait)):
                self._run(f"TRUNCATE TABLE {self.quoted}")
        except LampError as error:
            number = error.details.get("server_error")
            if number in (REFERENCED, DENIED, NO_DROP) or (number == _mysql.LOCK_WAIT and not deny_lock):
                return False
            raise
        return True

    def _put_aside(self, wait: int) -> bool:
        """Exchange it for an empty one; False where that is not possible, as TRUNCATE may be all the same."""
        try:
            self.swap("FALSE", wait)
        except LampError as error:
            if error.details.get("server_error") == _mysql.LOCK_WAIT:
                raise
            return False
        return True

    def delete(self, condition: str) -> int:
        """Delete the rows that meet the condition, in the order of the primary key, a few at a time; how many."""
        key = self._key()
        if not key:
            return self._repeat(f"DELETE FROM {self.quoted} WHERE {condition} LIMIT {CHUNK}")
        first, order = key[0], ", ".join(key)
        gone = 0
        span = "TRUE"
        while True:
            rows = self.query(
                f"SELECT {first} FROM {self.quoted} WHERE {span} ORDER BY {first} LIMIT 1 OFFSET {CHUNK - 1}"
            )
            last = self.literal(rows[0][0]) if rows else ""
            until = f" AND {first} <= {last}" if rows else ""
            gone += self._repeat(
                f"DELETE FROM {self.quoted} WHERE {span}{until} AND ({condition}) ORDER BY {order} LIMIT {CHUNK}"
            )
            if not rows:
                return gone
            span = f"{first} > {last}"

    def delete_groups(self, group: str, condition: str) -> None:
        """Delete the groups that meet the condition, each with all of its rows at once."""
        span = "TRUE"
        while True:
            rows = self.query(self._select(group, f"{condition} ORDER BY {group}", group, GROUPS, span))
            if not rows:
                return
            found = [self.literal(value) for (value,) in rows]
            self.change(f"DELETE FROM {self.quoted} WHERE {group} IN ({', '.join(found)})")
            span = f"{group} > {found[-1]}"

    def _repeat(self, sql: str) -> int:
        gone = 0
        while True:
            changed = self.change(sql)
            gone += changed
            if changed < CHUNK:
                return gone

    # -- exchange

    def swap(self, kept: str, wait: int) -> None:
        """Put a new table in its place that holds only the rows that meet ``kept``; the old one is swept later.

        It waits for others by short attempts, so that statements that queue behind it are held up for a second at most.

        :raises LampError: ``session_purge_cannot_swap``, ``session_purge_locked``
        """
        self.check_swap()
        fresh, old = self._aside(), self._aside()
        self._run(f"DROP TABLE IF EXISTS {fresh}")  # who may not do that could not take back what comes now
        self._run(f"CREATE TABLE {fresh} LIKE {self.quoted}")
        self._go_on_counting(fresh)
        columns = ", ".join(_mysql.quote_identifier(name) for name in self.columns())
        deadline = time.monotonic() + wait
        try:
            if kept != "FALSE":
                self.change(f"INSERT INTO {fresh} ({columns}) SELECT {columns} FROM {self.quoted} WHERE {kept}")
            self._run("SET SESSION lock_wait_timeout = 1")
            while True:
                try:
                    self._run(f"RENAME TABLE {self.quoted} TO {old}, {fresh} TO {self.quoted}")
                    break
                except LampError as error:
                    if error.details.get("server_error") != _mysql.LOCK_WAIT or time.monotonic() > deadline:
                        raise
        except LampError:
            with contextlib.suppress(LampError):  # what failed first is what is told; a sweep finds the table
                self._run(f"DROP TABLE IF EXISTS {fresh}")
            raise
        finally:
            with contextlib.suppress(LampError):
                self._run(f"SET SESSION lock_wait_timeout = {wait}")

    def _go_on_counting(self, fresh: str) -> None:
        """Numbers that were given to sessions are not given to others: something may still refer to them."""
        options = self.query(f"SHOW CREATE TABLE {self.quoted}")[0][1].rpartition("\n)")[2]
        given = re.match(r"[^']* AUTO_INCREMENT=(\d+)", options)
        if given:
            self._run(f"ALTER TABLE {fresh} AUTO_INCREMENT = {given[1]}")

    def check_swap(self) -> None:
        """:raises LampError: ``session_purge_cannot_swap``"""
        lacking = self._lacking("ALTER", "CREATE", "DROP", "INSERT", beside=True) + self._lacking("TRIGGER")
        triggers = self.query(
            f"SELECT 1 FROM information_schema.TRIGGERS WHERE {self._here('EVENT_OBJECT_SCHEMA', 'EVENT_OBJECT_TABLE')}"
        )
        keys = self.query(
            "SELECT 1 FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_NAME IS NOT NULL AND"
            f" ({self._here()} OR {self._here('REFERENCED_TABLE_SCHEMA', 'REFERENCED_TABLE_NAME')})"
        )
        reasons = {
            "its name is too long": len(self.bare) > LONGEST - len(ASIDE) - LENGTH,
            "it has triggers": triggers,
            "it has foreign keys": keys,
            f"the user is not seen to have {', '.join(lacking)}": lacking,
        }
        why = [reason for reason, holds in reasons.items() if holds]
        if why:
            raise LampError(
                "session_purge_cannot_swap",
                f"The table {self.name} cannot be exchanged for an empty one: {'; '.join(why)}.",
                "Set on_lock to delete or wait; or grant to login_user what is lacking, for the whole database"
                " (TRIGGER, to be shown whether there are triggers).",
            )

    def _lacking(self, *privileges: str, beside: bool = False) -> list[str]:
        """Which of them this user is not seen to have, here or also for tables ``beside`` this one.

        Without TRIGGER it looks as if the table had none.
        """
        had: set[str] = set()
        for (grant,) in self.query("SHOW GRANTS"):
            match = GRANT.match(grant)
            given = set(match[1].split(", ")) if match else set()
            useful = set(privileges) if "ALL PRIVILEGES" in given else given.intersection(privileges)
            if not match or useful <= had:
                continue
            schema, table = (name and name.replace("``", "`") for name in match.groups()[1:])
            of_schema = f"SELECT {self.database} LIKE {self.literal(schema or '%')}"  # a grant names it by a pattern
            if table in (None, None if beside else self.bare) and self.query(of_schema) == [(1,)]:
                had |= useful
        return [privilege for privilege in privileges if privilege not in had]

    def _aside(self) -> str:
        signs = "".join(secrets.choice(SIGNS) for _sign in range(LENGTH))
        return self.prefix + _mysql.quote_identifier(self.bare + ASIDE + signs)

    def aside(self) -> list[Table]:
        """The tables that earlier exchanges put aside."""
        name = re.compile(f"{re.escape(self.bare + ASIDE)}[{SIGNS}]{{{LENGTH}}}")
        rows = self.query(f"SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {self.database}")
        qualifier = self.name[: -len(self.bare)]
        return [Table(self.connection, qualifier + found) for (found,) in rows if name.fullmatch(found)]

    def drop(self) -> None:
        """Drop the table, also on replicas that never had it."""
        self._run(f"DROP TABLE IF EXISTS {self.quoted}")
