# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened when, on which host: phases hold tasks, tasks hold one stretch of time per host.

All times are seconds since the playbook began, by a clock that nobody can set.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .phases import OTHER

# From the one that matters least to the one that matters most: a phase is as bad as its worst host.
STATES = ("running", "skipped", "ok", "changed", "ignored", "unreachable", "failed")


def worst(states: t.Iterable[str]) -> str:
    """The state that says most about a task or a phase; ``skipped`` where nothing ran."""
    return max(states, key=STATES.index, default="skipped")


@dataclass
class HostRun:
    """One task on one host; ``place`` is the host that did the work, another one where the task was delegated."""

    host: str
    start: float
    place: str = ""
    end: float | None = None
    state: str = "running"

    def __post_init__(self) -> None:
        self.place = self.place or self.host

    def seconds(self, now: float) -> float:
        """How long it took, or has been running."""
        return max(0.0, (now if self.end is None else self.end) - self.start)


@dataclass
class TaskRun:
    """One task on all its hosts."""

    phase: str
    what: str
    action: str
    start: float
    check_mode: bool = False
    hosts: dict[str, HostRun] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """The worst state of its hosts."""
        return worst(run.state for run in self.hosts.values())

    @property
    def running(self) -> bool:
        """Whether a host has not answered yet."""
        return any(run.end is None for run in self.hosts.values())

    def seconds(self, now: float) -> float:
        """From its start to its last answer."""
        ends = [now if run.end is None else run.end for run in self.hosts.values()]
        return max(0.0, max(ends, default=self.start) - self.start)


@dataclass
class PhaseRun:
    """Tasks of one phase that ran one after the other."""

    name: str
    start: float
    tasks: list[TaskRun] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def state(self) -> str:
        """The worst state of its tasks."""
        return worst(task.state for task in self.tasks)

    @property
    def running(self) -> bool:
        """Whether one of its tasks has hosts that have not answered yet."""
        return any(task.running for task in self.tasks)

    @property
    def ran(self) -> list[TaskRun]:
        """Its tasks without those that no host had to run."""
        return [task for task in self.tasks if task.state != "skipped"]

    @property
    def what(self) -> str:
        """What it does: the name of its first task that ran."""
        return (self.ran or self.tasks)[0].what if self.tasks else ""

    @property
    def places(self) -> list[str]:
        """The hosts that did something, in the order in which they began."""
        return list(
            dict.fromkeys(run.place for task in self.tasks for run in task.hosts.values() if run.state != "skipped")
        )

    def seconds(self, now: float) -> float:
        """From its first task's start to its last answer."""
        ends = [now if run.end is None else run.end for task in self.tasks for run in task.hosts.values()]
        return max(0.0, max(ends, default=self.start) - self.start)


@dataclass
class Failure:
    """What a task said when it failed."""

    host: str
    phase: str
    what: str
    state: str
    error_code: str
    message: str


@dataclass
class Timeline:
    """The whole run."""

    playbook: str = ""
    started: float = 0.0  # seconds since 1970, for people; everything else counts from here
    check_mode: bool = False
    hosts: list[str] = field(default_factory=list)
    phases: list[PhaseRun] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    end: float | None = None

    def open_task(self, task: TaskRun, closed: int = 0) -> PhaseRun:
        """Put a task that begins into its phase: the one at the end when it has that name, else a new one.

        The first ``closed`` phases take no more tasks.
        """
        if len(self.phases) <= closed or self.phases[-1].name != task.phase:
            self.phases.append(PhaseRun(task.phase, task.start))
        self.phases[-1].tasks.append(task)
        return self.phases[-1]

    @property
    def tasks(self) -> list[TaskRun]:
        """All tasks in the order in which they began."""
        return [task for phase in self.phases for task in phase.tasks]

    @property
    def is_deploy(self) -> bool:
        """Whether any task belongs to a phase of a deploy."""
        return any(phase.name != OTHER for phase in self.phases)

    @property
    def places(self) -> list[str]:
        """The hosts that did something: those of the inventory first, as they were met."""
        seen = dict.fromkeys(run.place for phase in self.phases for task in phase.tasks for run in task.hosts.values())
        return [host for host in self.hosts if host in seen] + [place for place in seen if place not in self.hosts]

    def slowest(self, count: int) -> list[TaskRun]:
        """The tasks that took longest, the longest first."""
        now = self.end or 0.0
        ran = [task for task in self.tasks if task.state != "skipped"]
        return sorted(ran, key=lambda task: -task.seconds(now))[:count]
