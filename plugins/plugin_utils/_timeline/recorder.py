# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns what Ansible tells a callback into the timeline and the harvest; knows nothing of terminals."""

from __future__ import annotations

import time
import typing as t

from . import harvest as _harvest
from .model import Failure, HostRun, PhaseRun, TaskRun, Timeline
from .outcome import derive
from .phases import split_name
from .text import delta_line, plain

COLLECTION = "lamp.cluster."


class Recorder:
    """One playbook's run, from its first task to its outcome."""

    def __init__(self, playbook: str, check_mode: bool, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._tasks: dict[str, TaskRun] = {}
        self._shown = 0
        self.timeline = Timeline(playbook=playbook, started=time.time(), check_mode=check_mode)
        self.harvest = _harvest.Harvest()

    @property
    def now(self) -> float:
        """Seconds since the playbook began."""
        return self._clock() - self._began

    def play_started(self) -> None:
        """Tasks of another play, or of another batch of the same one, are other tasks."""
        self._tasks.clear()

    def task_started(self, uuid: str, name: str, action: str, check_mode: bool, again: bool = False) -> TaskRun:
        """Note that a task begins; ``again`` says that the strategy announces it once per host."""
        if again and uuid in self._tasks:
            return self._tasks[uuid]
        phase, what = split_name(name)
        task = TaskRun(phase, what, action, self.now, check_mode)
        self._tasks[uuid] = task
        self.timeline.open_task(task, self._shown)  # what was shown is shown once
        return task

    def task(self, uuid: str) -> TaskRun | None:
        """The task as it was announced last."""
        return self._tasks.get(uuid)

    def host_started(self, uuid: str, host: str) -> None:
        """Note that a host begins with a task."""
        if host not in self.timeline.hosts:
            self.timeline.hosts.append(host)
        if uuid in self._tasks:
            self._tasks[uuid].hosts[host] = HostRun(host, self.now)

    def host_ended(
        self, uuid: str, host: str, place: str, state: str, *, result: t.Mapping[str, t.Any], wanted_state: str = ""
    ) -> None:
        """Note a host's answer, and gather what this collection's modules say in it."""
        task = self._tasks.get(uuid)
        if task is None:
            return
        run = task.hosts.setdefault(host, HostRun(host, task.start))
        run.place, run.end, run.state = place or host, self.now, state
        if state in ("failed", "unreachable"):
            self._note_failure(task, host, state, result)
        # What a deploy looks at in check mode, before it decides, is no part of what it did.
        looked = task.check_mode and not self.timeline.check_mode
        if state != "skipped" and not looked and task.action.startswith(COLLECTION):
            self._harvest_from(task, run, result, wanted_state)

    def _note_failure(self, task: TaskRun, host: str, state: str, result: t.Mapping[str, t.Any]) -> None:
        message = plain(result.get("msg") or result.get("censored") or "The task failed without a message.")
        code = plain(result.get("error_code") or "")
        self.timeline.failures.append(Failure(host, task.phase, task.what, state, code, message))

    def _harvest_from(self, task: TaskRun, run: HostRun, result: t.Mapping[str, t.Any], wanted_state: str) -> None:
        answer = _harvest.Answer(
            module=task.action[len(COLLECTION) :],
            host=run.host,
            phase=task.phase,
            start=run.start,
            end=run.end or run.start,
            result=result,
            failed=run.state in ("failed", "unreachable", "ignored"),
            check_mode=task.check_mode,
            wanted_state=wanted_state,
        )
        for delta in _harvest.take(self.harvest, answer):
            phase = next(phase for phase in reversed(self.timeline.phases) if task in phase.tasks)
            phase.notes.append(delta_line(delta))

    def phases_to_show(self, everything: bool) -> list[PhaseRun]:
        """The phases that ended since the last call; the last one only when ``everything`` has ended."""
        end = len(self.timeline.phases) - (0 if everything else 1)
        ended = self.timeline.phases[self._shown : max(end, self._shown)]
        self._shown += len(ended)
        return ended

    def finish(self, failed: bool, stated: t.Mapping[str, t.Any], interrupted: bool = False) -> str:
        """Close the timeline and say how the run ended."""
        self.timeline.end = self.now
        if not interrupted:
            return derive(self.timeline, self.harvest, failed, stated)
        return "interrupted, site blocked" if self.harvest.still(_harvest.BLOCKED) else "interrupted"
