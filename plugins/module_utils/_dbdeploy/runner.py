# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the statements of one delta so that a crash at any point leaves a database that says how far it got.

Before a statement that commits by itself (DDL), the progress is written into the open transaction: the server makes it
durable at the very moment the statement begins. Everything else is one transaction with the row that says it is done.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.changelog import Changelog, Progress
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.delta import Delta
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import Statement, digest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._mysql import open_transactions

LOST = (2006, 2013, 2014, 2055)  # the connection is gone, and with it the answer
LOCK_WAIT, DEADLOCK = 1205, 1213
SHOWN = 300  # characters of a statement that a message shows


class Lock(t.Protocol):
    """What the runner asks of its lock."""

    def check(self) -> None:
        """Raise when the lock was lost."""


class Runner:
    """Applies and undoes single deltas. ``on_unknown`` is ``fail``, ``retry`` or ``skip``."""

    def __init__(self, changelog: Changelog, lock: Lock, on_unknown: str) -> None:
        self.changelog = changelog
        self.connection = changelog.connection
        self.lock = lock
        self.on_unknown = on_unknown
        self.database_changed = False

    def run(self, delta: Delta, direction: str, earlier: Progress | None) -> dict[str, t.Any]:
        """Run ``delta`` (``do`` or ``undo``), from where ``earlier`` stopped. :raises LampError: see the callees"""
        statements = delta.statements if direction == "do" else delta.undo
        started = time.monotonic()
        first = self._resume_at(delta, statements, direction, earlier)
        if first:
            self.database_changed = True
            self._replay_settings(statements[:first])
        for index in range(first, len(statements)):
            self._step(delta, statements, index, direction)
        if direction == "do":
            self.changelog.complete(delta)
            if delta.tagged:
                self.changelog.record_drop(delta.drop_tag)
        else:
            self.changelog.forget(delta)
        self.connection.commit()
        self.database_changed = True
        seconds = round(time.monotonic() - started, 3)
        return {**delta.summary(), "statements": len(statements), "duration": seconds, "resumed_at": first}

    def _resume_at(self, delta: Delta, statements: list[Statement], direction: str, earlier: Progress | None) -> int:
        """Index of the first statement to run."""
        if earlier is None:
            return 0
        if earlier.direction != direction:
            raise LampError(
                "dbdeploy_half_way",
                f"{delta.name} was cut off in its {earlier.direction} part; it cannot change its direction now.",
                f"Finish the {earlier.direction} part first.",
            )
        if digest(statements[: earlier.done]) != earlier.done_hash:
            raise LampError(
                "dbdeploy_done_part_changed",
                f"{delta.name}: of its {earlier.done} statements that ran already, one was edited.",
                "Put those statements back as they were; mend only what comes after them.",
            )
        if earlier.running is None:
            return earlier.done
        statement = statements[earlier.done] if earlier.done < len(statements) else None
        if self.on_unknown == "fail" or statement is None:
            raise LampError(
                "dbdeploy_unknown_outcome",
                f"{delta.name}: a crash left unknown whether statement {earlier.running} took effect: "
                f"{statement.text[:SHOWN] if statement else 'it is no longer in the file'}",
                "Look at the database. Run again with on_unknown=skip if it did, with on_unknown=retry if it did not.",
                unknown=[{"number": delta.number, "name": delta.name, "statement": earlier.running}],
            )
        return earlier.done + (1 if self.on_unknown == "skip" else 0)

    def _replay_settings(self, done: list[Statement]) -> None:
        """A new connection has none of the settings that the earlier one was given."""
        for statement in done:
            if statement.first_word == "SET":
                self._send(statement)

    def _step(self, delta: Delta, statements: list[Statement], index: int, direction: str) -> None:
        statement = statements[index]
        self.lock.check()
        if statement.may_commit:
            before = Progress(direction, index, digest(statements[:index]), index + 1)
            self.changelog.progress(delta, before)
        try:
            self._send(statement)
        except Exception as error:
            self._failed(delta, statements, index, direction, error)
        if statement.may_commit:
            self.changelog.progress(delta, Progress(direction, index + 1, digest(statements[: index + 1])))
        if statement.commits:
            self.connection.commit()  # what is known to be done must not become unknown by a later crash

    def _send(self, statement: Statement) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(statement.text)
            while cursor.nextset():
                pass

    def _failed(
        self, delta: Delta, statements: list[Statement], index: int, direction: str, error: Exception
    ) -> t.NoReturn:
        """Record what is certain, and say what failed. :raises LampError: always"""
        number = error.args[0] if error.args else 0
        where = f"{delta.name}, line {statements[index].line} (statement {index + 1})"
        shown = statements[index].text[:SHOWN]
        if number in LOST or not isinstance(number, int) or not number:
            self.database_changed = True  # nobody knows, so it must count
            raise LampError(
                "dbdeploy_connection_lost",
                f"{where}: the connection to the server was lost: {error}. Statement: {shown}",
                "Run the same command again: it resumes, or says what cannot be known.",
            ) from error
        self.connection.rollback()
        done = self._durable(delta, index)
        if done:
            self.database_changed = True
            self.changelog.progress(delta, Progress(direction, done, digest(statements[:done])), str(error))
        else:
            # Nothing of it took effect: as if it had never begun, so that it can be mended anywhere.
            self.changelog.forget(delta) if direction == "do" else None
        self.connection.commit()
        text = error.args[1] if len(error.args) > 1 else str(error)
        held = number in (LOCK_WAIT, DEADLOCK)
        hint = f" Open transactions: {open_transactions(self.changelog.connection)}." if held else ""
        raise LampError(
            "dbdeploy_statement_failed",
            f"{where} failed: {text} (error {number}).{hint} Statement: {shown}",
            "Mend the delta from that statement on and run the same command again: it resumes there.",
            failed_delta={"number": delta.number, "name": delta.name, "statement": index + 1, "error": number},
        ) from error

    def _durable(self, delta: Delta, index: int) -> int:
        """How many statements are committed, now that the open transaction was rolled back.

        A progress row that names the failed statement as running was committed by it: all before it are done, and it
        is not, as the server answered with an error.
        """
        progress = self.changelog.unfinished().get(delta.number)
        return min(progress.done, index) if progress else 0
