# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a run for people: what runs, what it does to the tables that are there, and how it would be undone."""

from __future__ import annotations

import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.delta import Delta
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.engine import Engine
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.outlook import Change, Outlook
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import Statement

VERBS = {"applied": "apply", "undone": "undo", "baselined": "baseline"}


class Plan:
    """What ``engine`` is about to do, looked at before it does it."""

    def __init__(self, engine: Engine, outlook: Outlook) -> None:
        self.engine = engine
        self.state = engine.settings.state
        self.changes: list[dict[str, t.Any]] = []
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
        progress = self.engine.unfinished.get(delta.number)
        first = progress.done if progress else 0
        notes = [
            f"resumes at statement {first + 1}" if progress else "",
            "drops sessions" if delta.tagged and self.state == "applied" else "",
            "" if delta.undo or self.state == "baselined" else "cannot be undone",
            "recorded, not run" if self.state == "baselined" else "",
        ]
        yield f"-- {VERBS[self.state]} {delta.name}" + "".join(f"; {note}" for note in notes if note)
        if self.state == "baselined":
            return
        for index, statement in enumerate(statements):
            change = self._change(delta, index, statement) if index >= first else None
            if change:
                yield f"-- {change}"
            yield f"{statement.text};"
        if self.state == "applied" and delta.undo:
            yield f"-- to undo {delta.name}:"
            for statement in delta.undo:
                yield from (f"--   {line}" for line in f"{statement.text};".split("\n"))

    def _change(self, delta: Delta, index: int, statement: Statement) -> Change | None:
        change = self.outlook.change(statement)
        if change:
            self.changes.append({"number": delta.number, "statement": index + 1, **change.as_result()})
        return change
