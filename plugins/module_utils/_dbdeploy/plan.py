# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a run for people: what runs, what it does to the tables that are there, and how it would be undone."""

from __future__ import annotations

import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy import resume
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.changelog import Progress
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.course import Course
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.delta import Delta
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.engine import Engine
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.outlook import Outlook
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.tables import Tables
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

VERBS = {"applied": "apply", "undone": "undo", "baselined": "baseline"}


class Plan:
    """What ``engine`` is about to do, looked at before it does it."""

    def __init__(self, engine: Engine, outlook: Outlook) -> None:
        self.engine = engine
        self.state = engine.settings.state
        self.changes: list[dict[str, t.Any]] = []
        self.refusals: list[str] = []  # what a run would say in place of going on with a delta
        self.outlook = outlook
        self.text = "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> t.Iterator[str]:
        for delta in self.engine.todo():
            yield from self._delta(delta)
        for tag in self.engine.new_tags():
            yield f"-- record a session drop: {tag}"
        for tag in self.engine.forgotten_tags():
            yield f"-- forget a session drop: {tag}"
        if self.state == "sessions_dropped":
            for tag in self.engine.due():
                yield f"-- session drop done: {tag}"

    def _delta(self, delta: Delta) -> t.Iterator[str]:
        statements = delta.undo if self.state == "undone" else delta.statements
        progress = self.engine.unfinished.get(delta.number) if self.state != "baselined" else None
        first, refusal = self._goes_on(delta, progress) if progress else (0, "")
        notes = [
            f"resumes at statement {first + 1}" if progress else "",
            "drops sessions" if delta.tagged and self.state == "applied" else "",
            "" if delta.undo or self.state == "baselined" else "cannot be undone",
            "recorded, not run" if self.state == "baselined" else "",
        ]
        yield f"-- {VERBS[self.state]} {delta.name}" + "".join(f"; {note}" for note in notes if note)
        if self.state == "baselined":
            return
        if refusal:
            self.refusals.append(refusal)
            yield from (f"-- a run is refused here: {line}" for line in refusal.split("\n"))
        for index, statement in enumerate(statements):
            for change in self.outlook.changes(statement) if index >= first else ():
                self.changes.append({"number": delta.number, "statement": index + 1, **change.as_result()})
                yield f"-- {change}"
            yield f"{statement.text};"
        if self.state == "applied" and delta.undo:
            yield f"-- to undo {delta.name}:"
            for statement in delta.undo:
                yield from (f"--   {line}" for line in f"{statement.text};".split("\n"))

    def _goes_on(self, delta: Delta, progress: Progress) -> tuple[int, str]:
        """Index of the statement that a run goes on with, and what it says if it does not."""
        changelog, on_unknown = self.engine.changelog, self.engine.settings.on_unknown
        course = Course(changelog, Tables(changelog.session), delta, "undo" if self.state == "undone" else "do")
        first = progress.done
        try:
            first = resume.first_of(course, progress, on_unknown)
            resume.said_again(course, first, on_unknown)
        except LampError as error:
            return first, str(error)
        return first, ""
