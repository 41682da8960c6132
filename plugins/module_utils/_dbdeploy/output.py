# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deltas as a script that the ``mariadb`` client runs, to the same end as a run of this module.

The script writes the same records as a run, at the same places: one that stops half way can be continued by a run. It
holds no dates and nothing else that differs between two scripts of the same deltas.
"""

from __future__ import annotations

import itertools
import os
import stat
import typing as t
from pathlib import Path

from ansible_collections.lamp.cluster.plugins.module_utils import _durable
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.changelog import Changelog
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.course import Course
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.delta import Delta
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.engine import Engine
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.tables import Tables
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

SCRIPTED = {"output_file": ("applied", "undone", "baselined"), "undo_output_file": ("applied",)}


def write(engine: Engine, params: dict[str, t.Any], *, check_mode: bool) -> dict[str, t.Any]:
    """Write the files that ``params`` name, in check mode not; the database is left alone.

    :raises LampError: ``dbdeploy_no_script``, ``dbdeploy_unwritable``, and see Scripts
    """
    scripts = Scripts(engine, params["lock_wait_timeout"])
    wanted: dict[str, str] = {}
    for option, states in SCRIPTED.items():
        if params[option] and params["state"] not in states:
            raise LampError(
                "dbdeploy_no_script",
                f"There is no {option} of state={params['state']}.",
                f"It goes with {' or '.join(f'state={state}' for state in states)}.",
            )
    if params["output_file"]:
        wanted[params["output_file"]] = scripts.do()
    if params["undo_output_file"]:
        wanted[params["undo_output_file"]] = scripts.undo()
    diffs = []
    for name, text in wanted.items():
        before = _replace(Path(name), text, check_mode=check_mode)
        diffs.append({"before_header": name, "after_header": name, "before": before, "after": text})
    changed = any(diff["before"] != diff["after"] for diff in diffs)
    return {"changed": changed, "applied": [], "undone": [], "baselined": [], "diff": diffs}


def _replace(path: Path, text: str, *, check_mode: bool) -> str:
    """Make the file say ``text``, in check mode not; what it said before. Deltas are not for everybody to read."""
    try:
        found = path.stat() if path.exists() else None
        before = path.read_text(encoding="utf-8") if found else ""
        if before != text and not check_mode:
            _durable.write(path, text, stat.S_IMODE(found.st_mode) if found else 0o600)
            if found:
                os.chown(path, found.st_uid, found.st_gid)
        return before
    except (OSError, UnicodeError) as error:
        raise LampError(
            "dbdeploy_unwritable",
            f"The script {path} cannot be written: {error}.",
            "Make its folder, or name another file.",
        ) from error


class Scripts:
    """Writes scripts of ``engine``'s deltas; ``wait`` is the seconds that a statement waits for somebody's lock."""

    def __init__(self, engine: Engine, wait: int) -> None:
        self.engine = engine
        self.changelog: Changelog = engine.changelog
        drops = bool(engine.new_tags())
        self.missing = self.changelog.create_sql(drops=drops)
        self.changelog.foresee(drops=drops)
        self.tables = Tables(engine.changelog.session)
        self.wait = max(1, wait)
        self.lines: list[str] = []

    def do(self) -> str:
        """The script of what a run would do now. :raises LampError: ``dbdeploy_unfinished``"""
        todo, state = self.engine.todo(), self.engine.settings.state
        begun = [delta.name for delta in todo if delta.number in set(self.engine.unfinished) | self.engine.foreign]
        if begun:
            raise LampError(
                "dbdeploy_unfinished",
                f"{begun[0]} was begun and is not complete; a script cannot know how far it got when it will be run.",
                "Finish it by a run without output_file, then write the script of the rest.",
            )
        undone = state == "undone"
        self._begin(todo, applied=undone)
        self.engine.hand_tags()
        for delta in todo:
            self._delta(delta, "undo" if undone else "do", records_only=state == "baselined")
        self._rest(self.changelog.forget_drops_sql([]) if undone else self.changelog.drops_sql([]))
        return self._text()

    def undo(self) -> str:
        """The script that undoes what the other one did. :raises LampError: ``dbdeploy_no_undo``"""
        deltas = self.engine.pending()[::-1]
        for delta in deltas:
            if not delta.undo:
                raise LampError(
                    "dbdeploy_no_undo",
                    f"{delta.name} has no undo part, so that no undo_output_file can be written.",
                    "Give it one, or leave undo_output_file out.",
                )
        self._begin(deltas, applied=True)
        self.changelog.release_tags = self.engine.settings.drop_tags
        for delta in deltas:
            self._delta(delta, "undo")
        self._rest(self.changelog.forget_drops_sql([]))
        return self._text()

    def _text(self) -> str:
        text = "".join(f"{line}\n" for line in self.lines)
        self.lines = []
        return text

    def _begin(self, deltas: t.Sequence[Delta], *, applied: bool) -> None:
        """Tables of the records, and a statement that fails where the script does not fit the database."""
        self.lines.append("-- Run this with the mariadb or mysql client, which stops at the first error.")
        self._session()
        self._all(self.missing)
        if deltas:
            expected = "applied" if applied else "pending"
            self.lines.append(f"-- The next statement fails with error 1242 unless all of these deltas are {expected}.")
            self._add(self.changelog.guard_sql([delta.number for delta in deltas], applied=applied))

    def _session(self) -> None:
        """The settings that a run gives its session."""
        self._all(
            [
                "SET NAMES utf8mb4",
                "SET autocommit = 0",
                f"SET SESSION lock_wait_timeout = {self.wait}, innodb_lock_wait_timeout = {self.wait}",
            ]
        )

    def _delta(self, delta: Delta, direction: str, *, records_only: bool = False) -> None:
        """One delta, framed like dbdeploy frames it."""
        self.lines.append(f"\n-- START CHANGE SCRIPT #{delta.number}: {delta.name}\n")
        if direction == "undo":
            completion = self.changelog.forget_sql(delta)
        else:
            completion = self.changelog.complete_sql(delta, None)
            completion += [] if records_only else self.changelog.drops_sql([delta])
        self.changelog.release_tags = []
        course = Course(self.changelog, self.tables, delta, direction, offline=True)
        count = len(course.statements)
        self._all([step.sql for step in course.steps(count if records_only else 0, completion)])
        if course.keeps:
            self.lines.append("connect")
            self._session()
        self.lines.append(f"\n-- END CHANGE SCRIPT #{delta.number}: {delta.name}")
        delta.release()

    def _rest(self, statements: list[str]) -> None:
        """What no delta took along."""
        self._all([*statements, "COMMIT"] if statements else [])

    def _all(self, statements: t.Iterable[str]) -> None:
        for statement in statements:
            self._add(statement)

    def _add(self, sql: str) -> None:
        """One statement, with a delimiter that is not part of it."""
        if ";" not in sql:
            self.lines.append(f"{sql};")
            return
        delimiter = "$$" if "$$" not in sql else next(f"${n}$" for n in itertools.count() if f"${n}$" not in sql)
        self.lines += [f"DELIMITER {delimiter}", f"{sql}{delimiter}", "DELIMITER ;"]
