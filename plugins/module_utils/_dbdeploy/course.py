# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent for one delta, in which order: its statements, and between them the records of how far it got.

A record is written *before* what may leave the outcome open: DDL makes the open transaction durable at the very moment
that it begins, so the record that says "running" is there exactly when it may have taken effect. Statements on tables
that no rollback reaches get a record of their own before and after. All others are in one transaction with the record
that says the delta is complete; whether other deltas are in it too is not decided here.
"""

from __future__ import annotations

import hashlib
import re
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.changelog import Changelog, Progress
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.delta import Delta
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.session import (
    PacketError,
    number_of,
    records_error,
)
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import (
    BOUNDARY,
    CALL,
    DDL,
    LOCK,
    QUERY,
    Statement,
)
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.tables import Tables

NO_SAVEPOINT = 1305
COMMIT_SURELY = frozenset(["ALTER", "CREATE", "DROP", "RENAME", "TRUNCATE"])
SHARED = frozenset(["DELETE", "DO", "INSERT", "REPLACE", "SELECT", "UPDATE", "WITH"])
LOCK_TABLES = re.compile(r"(\s*LOCK\s+TABLES?\s+)", re.IGNORECASE)


class Step:
    """One thing to send: ``sql``, the ``index`` of the delta's statement (None for a record).

    ``durable``: how many statements are sure to stay once this was answered. ``open_end``: whether a failure leaves
    open what took effect. ``row``: the row of the state that ``sql`` records, where others may be recorded along.
    ``last``: with this the delta is complete.
    """

    __slots__ = ("durable", "index", "last", "open_end", "row", "sql")

    def __init__(
        self, sql: str, index: int | None = None, *, durable: int | None = None, open_end: bool = False, row: str = ""
    ) -> None:
        self.sql = sql
        self.index = index
        self.durable = durable
        self.open_end = open_end
        self.row = row
        self.last = False


class Course:
    """The steps of one delta in one direction."""

    def __init__(
        self, changelog: Changelog, tables: Tables, delta: Delta, direction: str, *, offline: bool = False
    ) -> None:
        """``offline``: the steps are written down, and nothing is known of what the server will answer."""
        self.changelog = changelog
        self.tables = tables
        self.delta = delta
        self.direction = direction
        self.statements = delta.statements if direction == "do" else delta.undo
        self.keeps = any(statement.keeps for statement in self.statements)
        self.offline = offline
        self.left_out: set[int] = set()  # indexes of statements that end what the session has not got
        # Each statement in a packet of its own.
        self.alone = offline or self.keeps or tables.matters_to(delta.text)
        self._hash = hashlib.sha256()
        self._hashes = [self._hash.hexdigest()]

    def hash_of(self, done: int) -> str:
        """The digest of the first ``done`` statements."""
        while len(self._hashes) <= done:
            position = len(self._hashes) - 1
            self._hash.update(("\0" if position else "").encode() + self.statements[position].normal.encode())
            self._hashes.append(self._hash.hexdigest())
        return self._hashes[done]

    def row(self, done: int, *, running: bool = False, error: str = "") -> str:
        """The row that records ``done`` statements, and that the next one is running."""
        progress = Progress(self.direction, done, self.hash_of(done), done + 1 if running else None)
        return self.changelog.progress_row(self.delta, progress, error)

    def progress(self, done: int, *, running: bool = False, error: str = "") -> str:
        """The SQL that records that row."""
        return self.changelog.state_sql([self.row(done, running=running, error=error)])

    def work(self, first: int) -> t.Iterator[Step]:
        """What to send from statement ``first`` on, but for the record that the delta is complete."""
        for index in range(first, len(self.statements)):
            if index not in self.left_out:
                yield from self._one(index)

    def steps(self, first: int, completion: list[str]) -> t.Iterator[Step]:
        """The same, and ``completion``, which records that the delta is complete."""
        yield from self.work(first)
        count = len(self.statements)
        if not self.changelog.transactional and count:  # a row of such a table must not be there before the work is
            yield from self._record([self.progress(count)], count)
        *before, last = self._record(completion, count)
        yield from before
        last.last = True
        yield last

    @property
    def ends_packet(self) -> bool:
        """Whether the next delta is not to go along: were the runner killed, the server would go on with it."""
        return self.alone or any(statement.kind != QUERY for statement in self.statements)

    @property
    def shares(self) -> bool:
        """Whether others may be in the same transaction: nothing in it ends that, or takes it back, but DDL."""
        return (
            self.direction == "do"
            and not self.alone
            and self.changelog.transactional
            and all(each.kind == DDL or each.first_word in SHARED for each in self.statements)
        )

    def _record(self, statements: list[str], durable: int, *, open_end: bool = False) -> t.Iterator[Step]:
        sql = self.changelog.commit_sql(statements, alone=self.alone)
        for statement in sql[:-1]:
            yield Step(statement, open_end=open_end)
        yield Step(sql[-1], durable=durable, open_end=open_end)

    def _one(self, index: int) -> t.Iterator[Step]:
        """The steps of one statement."""
        statement = self.statements[index]
        after = index + 1
        if statement.kind == DDL:
            sure = not self.alone and statement.first_word in COMMIT_SURELY
            row = self.row(index, running=True)
            yield Step(self.changelog.state_sql([row]), row=row)
            if statement.blocks_itself:
                yield Step("SET autocommit = 1")
            yield Step(statement.text, index, durable=after if sure else None, open_end=statement.in_steps)
            if statement.blocks_itself:
                yield Step("SET autocommit = 0")
            follower = self.statements[after].kind if after < len(self.statements) else ""
            if not sure or follower not in ("", DDL):  # else the next record says it, and is as soon
                yield from self._record([self.progress(after)], after, open_end=not sure)
            if self.alone:
                self.tables.refresh()
        elif statement.kind in (BOUNDARY, LOCK):
            yield Step(self.progress(after))  # durable exactly when the statement ended the transaction
            yield Step(self._with_records(statement), index, durable=after)
        elif self.tables.escape_rollback(statement) or (statement.kind == CALL and self.offline):
            yield from self._record([self.progress(index, running=True)], index)
            yield Step(statement.text, index, open_end=True)
            yield from self._record([self.progress(after)], after, open_end=True)
        elif statement.kind == CALL:
            yield from self._call(statement, index)
        else:
            yield Step(statement.text, index)

    def _call(self, statement: Statement, index: int) -> t.Iterator[Step]:
        """A procedure may commit: then the record before it became durable, and the savepoint is gone."""
        yield Step(self.progress(index, running=True))
        yield Step("SAVEPOINT lamp_call")
        yield Step(statement.text, index, open_end=True)
        try:
            self.changelog.session.send(["RELEASE SAVEPOINT lamp_call"])
        except PacketError as failure:
            if number_of(failure.error) != NO_SAVEPOINT:
                raise records_error(failure.error) from failure.error
            yield from self._record([self.progress(index + 1)], index + 1, open_end=True)

    def _with_records(self, statement: Statement) -> str:
        """``LOCK TABLES`` must name the tables of the records, too, or they could not be written."""
        if statement.kind != LOCK:
            return statement.text
        own = ", ".join(f"{table} WRITE" for table in self.changelog.tables)
        return LOCK_TABLES.sub(lambda match: f"{match.group()}{own}, ", statement.code, count=1)
