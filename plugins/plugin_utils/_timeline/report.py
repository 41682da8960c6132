# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The run as one JSON document, which the HTML page is made from, and how such files are written."""

from __future__ import annotations

import datetime
import json
import os
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _durable

from .harvest import Harvest
from .model import PhaseRun, TaskRun, Timeline
from .outcome import tone

FORMAT = 1


def build(
    timeline: Timeline,
    harvest: Harvest,
    outcome: str,
    stated: t.Mapping[str, t.Any],
    recap: t.Mapping[str, t.Mapping[str, int]],
) -> dict[str, t.Any]:
    """The document: numbers are seconds, ``start`` counts from the beginning of the run. No module option is in it."""
    now = timeline.end or 0.0
    return {
        "format": FORMAT,
        "playbook": timeline.playbook,
        "started": _moment(timeline.started),
        "finished": _moment(timeline.started + now),
        "seconds": _round(now),
        "check_mode": timeline.check_mode,
        "result": {
            "outcome": outcome,
            "tone": tone(outcome),
            "changed": any(task.state == "changed" for task in timeline.tasks),
            "deploy": {key: value for key, value in stated.items() if isinstance(value, (str, int, float, bool))},
        },
        "hosts": timeline.places,
        "blocked": _blocked(harvest, now),
        "deltas": [vars(delta) for delta in harvest.deltas],
        "sessions": {
            "drop_asked": harvest.drop_sessions,
            "dropped": sum(harvest.purged.values()) if harvest.purged else None,
            "after": sum(harvest.sessions_after.values()) if harvest.sessions_after else None,
        },
        "releases": harvest.releases,
        "tasks": sum(task.state != "skipped" for task in timeline.tasks),
        "tasks_skipped": sum(task.state == "skipped" for task in timeline.tasks),
        "slowest": [
            {"phase": task.phase, "what": task.what, "seconds": _round(task.seconds(now))}
            for task in timeline.slowest(5)
        ],
        "failures": [vars(failure) for failure in timeline.failures],
        "phases": [_phase(phase, now) for phase in timeline.phases],
        "recap": {host: dict(counts) for host, counts in recap.items()},
    }


def _blocked(harvest: Harvest, now: float) -> dict[str, t.Any]:
    total = harvest.blocked_seconds(now)
    return {
        "seconds": None if total is None else _round(total),
        "hosts": [
            {
                "host": window.host,
                "start": _round(window.start),
                "seconds": _round(window.seconds(now)),
                "state": window.state,
                "drained": window.drained,
                "drain_seconds": window.drain_seconds,
            }
            for window in harvest.windows
        ],
    }


def _phase(phase: PhaseRun, now: float) -> dict[str, t.Any]:
    return {
        "name": phase.name,
        "what": phase.what,
        "state": phase.state,
        "start": _round(phase.start),
        "seconds": _round(phase.seconds(now)),
        "hosts": phase.places,
        "tasks": [_task(task, now) for task in phase.tasks],
    }


def _task(task: TaskRun, now: float) -> dict[str, t.Any]:
    return {
        "what": task.what,
        "action": task.action,
        "state": task.state,
        "start": _round(task.start),
        "seconds": _round(task.seconds(now)),
        "hosts": [
            {
                "host": run.host,
                "place": run.place,
                "state": run.state,
                "start": _round(run.start),
                "seconds": _round(run.seconds(now)),
            }
            for run in task.hosts.values()
        ],
    }


def _round(seconds: float) -> float:
    return round(seconds, 3)


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def write(path: str, text: str) -> None:
    """Put the text into the file at once or not at all, readable by its owner alone; missing folders are made."""
    path = os.path.abspath(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # A host may have said what is no UTF-8.
    _durable.write(path, text.encode("utf-8", "backslashreplace").decode("utf-8"), 0o600)


def as_json(document: dict[str, t.Any]) -> str:
    """The document for programs."""
    return json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n"


def as_html(document: dict[str, t.Any]) -> str:
    """The document for people: one page that needs nothing else."""
    from . import page  # noqa: PLC0415 (only who asks for it pays)

    return page.render(document)
