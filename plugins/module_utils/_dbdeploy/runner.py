# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one delta so that a crash at any point leaves a database that says how far it got; continue what was cut off."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy import resume
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.changelog import Changelog, Progress
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.course import NO_SAVEPOINT, Course, Step
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.delta import Delta
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.session import (
    LOST,
    PacketError,
    Session,
    number_of,
    records_error,
)
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import CALL, DDL, Statement
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.tables import Tables
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.together import (
    SAVEPOINT,
    TOGETHER,
    Job,
    Sent,
    Together,
)
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._mysql import (
    CONFLICTS,
    LOCK_WAIT,
    Connection,
    open_transactions,
)

# How often a transaction is begun again that left nothing behind.
RETRIES = {LOCK_WAIT: 1, **dict.fromkeys(CONFLICTS, 5)}
NEVER_BEGAN = (1044, 1054, 1064, 1136, 1142, 1143, 1146, 1305)  # errors of names, grants and grammar
PACKET = 256 * 1024  # characters of a packet, unless a single statement has more
LARGE = 1024 * 1024  # bytes of a statement that a server may be set not to take


class Lock(t.Protocol):
    """What the runner asks of its lock."""

    def check(self) -> None:
        """Raise when the lock was lost."""

    def moved(self, connection: Connection) -> None:
        """The run goes on over another connection."""


class StepError(Exception):
    """What was ``sent`` failed with ``error``."""

    def __init__(self, sent: Sent, error: Exception) -> None:
        super().__init__(sent, error)
        self.sent = sent
        self.error = error


class Runner:
    """Applies and undoes deltas, one after another; ``done`` is what it says of those that are complete.

    Small deltas wait for each other and travel in one packet, and the server stops at the first that fails.
    ``on_unknown`` is ``fail``, ``retry`` or ``skip``.
    """

    def __init__(self, changelog: Changelog, lock: Lock, on_unknown: str) -> None:
        self.changelog = changelog
        self.session: Session = changelog.session
        self.lock = lock
        self.on_unknown = on_unknown
        self.took_effect = False  # something did, for sure
        self.in_doubt = False  # something was sent that may have, and nothing has told since that it did not
        self.done: list[dict[str, t.Any]] = []
        self.waiting: list[Job] = []
        self.under_way: list[Job] = []  # sent, and not complete
        self.asked: list[Sent] = []  # what the server works at, while the next is made ready
        self.together = Together(changelog)
        self.tables = Tables(self.session)
        self.used = False  # whether a delta left something in the session
        clock = self.session.query("SELECT UNIX_TIMESTAMP(CURRENT_TIMESTAMP(3))")[0][0]
        self.ahead = float(clock) - time.time()  # of the server's clock before this host's

    @property
    def database_changed(self) -> bool:
        """Whether anything took effect, or may have: whatever ends a run, what nobody has told counts."""
        return self.took_effect or self.in_doubt

    def run(self, delta: Delta, direction: str, earlier: Progress | None, *, present: bool = False) -> None:
        """Run ``delta`` (``do`` or ``undo``), from where ``earlier`` stopped; ``present``: it has a row already.

        It may wait for others until ``flush``. :raises LampError: see the callees
        """
        course = Course(self.changelog, self.tables, delta, direction)
        waits = self.session.packets and earlier is None and not course.ends_packet
        if self.used or earlier or course.alone:
            self.flush()
        if self.used:
            self._renew()
        first = resume.first_of(course, earlier, self.on_unknown)
        self.used = course.keeps
        if first:
            self.took_effect = True
            self._say_again(course, resume.said_again(course, first, self.on_unknown))
        shares = self.session.packets and not earlier and not present and course.shares
        self.waiting.append(Job(course, first, self.now(), present=present, shares=shares))
        if not waits or len(self.waiting) == TOGETHER:
            self._send(settle=not shares)

    def _renew(self) -> None:
        self.session.renew()
        self.lock.moved(self.session.connection)

    def flush(self) -> None:
        """Run what waits, and leave no transaction open. :raises LampError: see the callees"""
        self._send(settle=True)

    def _send(self, *, settle: bool) -> None:
        jobs, self.waiting = self.waiting, []
        self.under_way += jobs
        sent = False
        while not sent:
            try:
                self._send_all(self.together.steps(jobs, settle=settle))
                if settle:
                    self._await()
                sent = True
            except StepError as failure:
                self.asked = []
                self._judge(failure)
                self.together = Together(self.changelog)
            jobs = self.under_way = [job for job in self.under_way if not job.complete]

    def _judge(self, failure: StepError) -> None:
        """Return where what failed may be tried again. :raises LampError: where it may not"""
        job, step, number = failure.sent.job, failure.sent.step, number_of(failure.error)
        job.tries[number] = job.tries.get(number, 0) + 1
        others, same_session = failure.sent.others, True
        if others and number not in LOST and not self._keep(others, step):
            for each in self.under_way:
                each.shares = False  # so that it is seen which of them cannot be run, and the others are not held up
        elif job.tries[number] > RETRIES.get(number, 0) or not self._left_nothing(job.course, step):
            self._failed(job, step, failure.error)
        else:
            same_session = resume.in_same_session(job.course, job.durable, step.index)
            if not same_session and not resume.in_fresh_session(job.course, job.durable, step.index):
                self._failed(job, step, failure.error)
        self.session.roll_back()
        if not same_session:
            self._renew()
            self._say_again(job.course, resume.said_again(job.course, job.durable, "fail"))

    def _keep(self, others: list[Job], step: Step) -> bool:
        """Keep what ``others`` did in the transaction in which ``step`` of a later delta failed, if it is still there.

        :raises LampError: when that cannot be recorded
        """
        if step.index is None:
            return False
        try:
            self.session.send([f"ROLLBACK TO SAVEPOINT {SAVEPOINT}"])
        except PacketError as failure:
            if number_of(failure.error) != NO_SAVEPOINT:
                raise records_error(failure.error) from failure.error
            applied, _begun = self.changelog.applied()  # DDL has made it durable, or it was a deadlock's victim
            if not applied.issuperset(job.delta.number for job in others):
                return False
        else:
            self.changelog.write(self.together.complete_sql(others))
        for job in others:
            self._completed(job)
        return True

    def _completed(self, job: Job) -> None:
        """Say so, and forget what was needed to get there."""
        job.complete = self.took_effect = True
        self.changelog.release_tags = []  # until this was answered, they went along with every delta
        delta = job.delta
        self.done.append(
            {
                **delta.summary(),
                "statements": len(job.course.statements),
                "duration": round(job.answered - job.started, 3),
                "resumed_at": job.first,
                "retries": sum(job.tries.values()),
            }
        )
        delta.release()

    def now(self) -> float:
        """The server's time in seconds of the epoch."""
        return time.time() + self.ahead

    @staticmethod
    def _left_nothing(course: Course, step: Step) -> bool:
        """Whether all since the last durable record is gone with a rollback."""
        if step.open_end:
            return False
        return step.index is None or course.statements[step.index].kind not in (DDL, CALL)

    def _send_all(self, steps: t.Iterator[Sent]) -> None:
        """Send steps in as few packets as may be."""
        packet: list[Sent] = []
        size = 0
        for sent in steps:
            if packet and size + len(sent.step.sql) > PACKET:
                self._send_packet(packet)
                packet, size = [], 0
            packet.append(sent)
            size += len(sent.step.sql)
            if self._alone(sent):
                self._send_packet(packet)
                packet, size = [], 0
        if packet:
            self._send_packet(packet)

    def _send_packet(self, packet: list[Sent]) -> None:
        self._await()
        self.lock.check()
        self.last_answer = time.monotonic()
        self.asked = packet
        self.in_doubt = self.in_doubt or any(sent.may_stay for sent in packet)
        try:
            self.session.ask([sent.step.sql for sent in packet])
        except PacketError as failure:
            raise StepError(packet[failure.index], failure.error) from failure.error
        if self._alone(packet[-1]):  # what comes next depends on the answer
            self._await()

    def _alone(self, sent: Sent) -> bool:
        """Whether it travels in a packet of its own."""
        return sent.job.course.alone or not self.session.packets

    def _await(self) -> None:
        """Have the answers to what was asked."""
        packet, self.asked = self.asked, []
        if packet:
            try:
                self.session.answers(lambda index: self._answered(packet[index]))
            except PacketError as failure:
                raise StepError(packet[failure.index], failure.error) from failure.error

    def _answered(self, sent: Sent) -> None:
        job, step = sent.job, sent.step
        job.started = job.started or self.last_answer
        job.answered = self.last_answer = time.monotonic()
        if step.durable is not None:
            job.durable = max(job.durable, step.durable)
        for each in sent.ends:
            if not each.complete:  # of a CALL several answers come
                self._completed(each)

    def _say_again(self, course: Course, indexes: list[int]) -> None:
        """Give the session what it needs of statements that ran in another one."""
        for index in indexes:
            try:
                self.session.send([course.statements[index].text])
            except PacketError as failure:
                raise self._statement_error(course, index, failure.error, "") from failure.error

    def _failed(self, job: Job, step: Step, error: Exception) -> t.NoReturn:
        """Record what is certain, and say what failed. :raises LampError: always"""
        number, course = number_of(error), job.course
        self.took_effect = self.took_effect or job.durable > 0
        if number in LOST:
            self.in_doubt = True
            raise _lost(course, step, error) from error
        self.session.roll_back()
        if step.index is None:
            if not step.open_end:  # else the record that a statement runs must stay
                self._note(course, job.durable, str(error))
                self.in_doubt = False
            raise records_error(error) from error
        earlier = self.changelog.progress_of(course.delta, course.direction)
        committed = earlier is not None and earlier.running == step.index + 1
        refused = number in NEVER_BEGAN and course.statements[step.index].kind != CALL
        if committed and step.open_end and not refused:
            why = f"it failed ({resume.said(error, step.sql)}, error {number}), and some of what it did may have stayed"
            raise resume.unknown(course, step.index, why, step.sql) from error
        done = step.index if committed else job.durable
        self.took_effect = self.took_effect or done > 0
        self._note(course, done, f"{resume.said(error, step.sql)} (error {number})")
        self.in_doubt = False
        hint = f" Open transactions: {open_transactions(self.session.connection)}." if number in RETRIES else ""
        raise self._statement_error(course, step.index, error, hint) from error

    def _note(self, course: Course, done: int, error: str) -> None:
        """Record how far the delta got. Where nothing of it took effect, it is as if it had never begun."""
        if done:
            sql = course.progress(done, error=error)
        elif course.direction == "undo":  # it is applied as before, and an edit of it is still to be noticed
            sql = self.changelog.state_sql([self.changelog.complete_row(course.delta)])
        else:
            sql = self.changelog.forget_progress_sql(course.delta)
        with contextlib.suppress(LampError):  # the record that is there holds, and the next run will ask about it
            self.changelog.write([sql])

    def _statement_error(self, course: Course, index: int, error: Exception, hint: str) -> LampError:
        number = number_of(error)
        delta, text = course.delta, course.statements[index].text
        return LampError(
            "dbdeploy_statement_failed",
            f"{_where(course, index)} failed: {resume.said(error, text)} (error {number}).{hint}"
            f" Statement: {resume.shown(text)}",
            "Mend the delta from that statement on and run the same command again: it resumes there.",
            failed_delta={"number": delta.number, "name": delta.name, "statement": index + 1, "error": number},
        )


def _lost(course: Course, step: Step, error: Exception) -> LampError:
    where = _where(course, step.index) if step.index is not None else f"the records of {course.delta.name}"
    size = len(step.sql.encode())
    hint = f" It has {size} bytes; max_allowed_packet says how many the server takes." if size > LARGE else ""
    return LampError(
        "dbdeploy_connection_lost",
        f"{where}: the connection to the server was lost: {error}. Statement: {resume.shown(step.sql)}{hint}",
        "Run the same command again: it resumes, or says what cannot be known.",
    )


def _where(course: Course, index: int) -> str:
    statement: Statement = course.statements[index]
    return f"{course.delta.name}, line {statement.line} (statement {index + 1})"
