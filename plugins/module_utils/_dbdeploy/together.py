# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent for several deltas, in which order: those that may share a transaction are recorded by one statement.

The transaction ends with the DDL of the next delta that has some, and the records of those before it are written
together with the one that says that this DDL runs; or it ends when enough deltas wait. It may be open between two
packets, but not for long. Each of its deltas begins at a savepoint: one that fails is taken back to there, and takes
nothing of the others along.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.changelog import Changelog
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.course import Course, Step
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import DDL, QUERY

TOGETHER = 32  # deltas in one transaction, or in one packet, at most
OPEN = 1.0  # seconds after which no further delta joins a transaction
SAVEPOINT = "lamp_delta"


class Job:
    """One delta that is run: its course, since when (the server's clock), and how far it is.

    ``first`` is the index of the statement that it begins with, ``durable`` of the first that may not stay.
    ``present``: another tool gave it a row. ``shares``: others may be in the same transaction.
    """

    def __init__(self, course: Course, first: int, begun: float, *, present: bool, shares: bool) -> None:
        self.course = course
        self.delta = course.delta
        self.first = self.durable = first
        self.begun = begun
        self.present = present
        self.shares = shares
        self.started = self.answered = 0.0  # when its first statement began, and its last answer came
        self.complete = False
        self.tries: dict[int, int] = {}


class Sent:
    """A step of ``job``. ``beside`` are the jobs whose work is in the same transaction, those that come later too.

    ``ends`` are those that are complete once the step was answered.
    """

    __slots__ = ("beside", "ends", "job", "step")

    def __init__(self, job: Job, step: Step, beside: list[Job], ends: t.Sequence[Job] = ()) -> None:
        self.job = job
        self.step = step
        self.beside = beside
        self.ends = ends

    @property
    def others(self) -> list[Job]:
        """The jobs before its own in the transaction."""
        return self.beside[: self.beside.index(self.job)] if self.job in self.beside else self.beside

    @property
    def may_stay(self) -> bool:
        """Whether a rollback may not take back what it does."""
        step = self.step
        if step.index is None:
            return step.durable is not None
        return step.open_end or self.job.course.statements[step.index].kind != QUERY


class Together:
    """The transaction that is open, and the ``jobs`` in it that have done their work and are not recorded."""

    def __init__(self, changelog: Changelog) -> None:
        self.changelog = changelog
        self.jobs: list[Job] = []
        self.since = 0.0

    def steps(self, jobs: t.Iterable[Job], *, settle: bool) -> t.Iterator[Sent]:
        """What is to be sent for ``jobs``; ``settle``: nothing stays open at the end."""
        for job in jobs:
            if job.shares:
                yield from self._joining(job)
            else:
                yield from self._settle()
                yield from self._alone(job)
        if settle:
            yield from self._settle()

    def _alone(self, job: Job) -> t.Iterator[Sent]:
        """A job that shares with no other."""
        for step in job.course.steps(job.durable, self._completion(job)):  # one by one: some depend on an answer
            yield Sent(job, step, [], [job] if step.last else [])

    def _joining(self, job: Job) -> t.Iterator[Sent]:
        """A job that goes on in the open transaction, if there is one."""
        if self.jobs:
            yield Sent(job, Step(f"SAVEPOINT {SAVEPOINT}"), self.jobs)
        else:
            self.since = time.monotonic()
        ends: list[Job] = []
        for step in job.course.work(job.durable):
            if step.row:
                ends = self.jobs
                records = self.changelog.block_sql(self.complete_sql(ends, step.row))
                yield from (Sent(job, Step(sql), ends) for sql in records)
            elif step.durable is None:
                yield Sent(job, step, self.jobs)
            else:
                beside, self.jobs, self.since = self.jobs, [], time.monotonic()
                yield Sent(job, step, beside, ends)
                ends = []
        self.jobs.append(job)
        statements = job.course.statements
        # The end of DDL that was the last thing is recorded at once, or a crash later on would leave it open.
        ended = statements and statements[-1].kind == DDL
        if ended or len(self.jobs) >= TOGETHER or time.monotonic() - self.since > OPEN:
            yield from self._settle()

    def _settle(self) -> t.Iterator[Sent]:
        """Record the jobs that wait for it, and commit."""
        jobs, self.jobs = self.jobs, []
        if jobs:
            *before, last = self.changelog.commit_sql(self.complete_sql(jobs), alone=False)
            yield from (Sent(jobs[-1], Step(sql), jobs) for sql in before)
            yield Sent(jobs[-1], Step(last, durable=len(jobs[-1].course.statements)), jobs, jobs)

    def complete_sql(self, jobs: t.Sequence[Job], *rows: str) -> list[str]:
        """The SQL that records that ``jobs`` are complete, and ``rows`` of the state besides."""
        states = [*(self.changelog.complete_row(job.delta) for job in jobs), *rows]
        applied = [self.changelog.applied_row(job.delta, job.begun) for job in jobs]
        drops = self.changelog.drops_sql(job.delta for job in jobs) if jobs else []
        return [*([self.changelog.applied_sql(applied)] if applied else []), self.changelog.state_sql(states), *drops]

    def _completion(self, job: Job) -> list[str]:
        """The SQL that records the end of a job that shares with no other."""
        if job.course.direction == "undo":
            return self.changelog.forget_sql(job.delta)
        if not job.present:
            return self.complete_sql([job])
        return [*self.changelog.end_sql(job.delta), *self.changelog.drops_sql([job.delta])]
