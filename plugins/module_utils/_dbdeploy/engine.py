# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole of a run: what is pending, what is in the way, and carrying it out under the lock."""

from __future__ import annotations

import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.changelog import Changelog
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.delta import Delta, drop_tag
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.runner import Lock, Runner
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.session import untouched
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import Statement
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

PARTS = {"applied": "statements", "undone": "undo"}
LARGEST_COUNTED = 999_999_999  # higher numbers are dates and times
Result = t.Dict[str, t.Any]


class Settings:
    """The options of a run, as the module documents them."""

    def __init__(self, params: dict[str, t.Any]) -> None:
        self.state: str = params["state"]
        self.to: int | None = params["to"]
        self.out_of_order: str = params["out_of_order"]
        self.accept_changed: bool = params["accept_changed"]
        self.on_unknown: str = params["on_unknown"]
        self.drop_tags: list[str] = [drop_tag(tag) for tag in params["drop_tags"] or []]
        self.replaced: list[set[int]] = [set(release["deltas"]) for release in params["replaced"] or []]


class Engine:
    """One delta set against one database."""

    def __init__(self, changelog: Changelog, deltas: list[Delta], settings: Settings) -> None:
        self.changelog = changelog
        self.deltas = deltas
        self.settings = settings
        self.read()

    def read(self) -> None:
        """Look at what the database knows now."""
        self.complete, self.foreign = self.changelog.applied()
        self.known, begun = self.changelog.states()
        # One that is in the changelog all the same was completed elsewhere, by another tool or by hand.
        self.unfinished = {
            number: progress
            for number, progress in begun.items()
            if progress.direction == "undo" or number not in self.complete
        }
        self.drops = self.changelog.drops()

    def edited(self) -> list[Delta]:
        """The deltas whose statements are not those that were applied."""
        others = [delta for delta in self.deltas if self.known.get(delta.number, delta.file_hash) != delta.file_hash]
        if not others:
            return []
        checksums = self.changelog.checksums(delta.number for delta in others)
        return [delta for delta in others if checksums.get(delta.number) not in ("", None, delta.checksum)]

    def check(self) -> None:
        """:raises LampError: ``dbdeploy_changed``, ``dbdeploy_incomplete``, ``dbdeploy_out_of_order``"""
        edited = self.edited()
        if edited and not self.settings.accept_changed:
            raise LampError(
                "dbdeploy_changed",
                f"Edited after they were applied: {', '.join(delta.name for delta in edited)}.",
                "Put them back and write a new delta, or accept the edit with accept_changed=true.",
            )
        half = sorted(number for number, progress in self.unfinished.items() if progress.direction == "undo")
        if half and self.settings.state not in {"undone", "sessions_dropped"}:
            raise LampError(
                "dbdeploy_half_way",
                f"Delta {half[0]} was cut off in its undo part; the database is between two versions.",
                "Finish the undo first (state=undone); that of a deploy, or of a rollback, with lamp.cluster.rollback"
                " -e rollback_undo=true.",
                unfinished=self.begun(),
            )
        done = sorted(number for number, progress in self.unfinished.items() if progress.direction == "do")
        if self.settings.state == "undone" and done and done[-1] > (self.settings.to or 0):
            raise LampError(
                "dbdeploy_half_way",
                f"Delta {done[-1]} is applied half way, and its undo part undoes a whole one.",
                "Finish it first (state=applied), or mend the database by hand.",
                unfinished=self.begun(),
            )
        begun = sorted(self.foreign - set(self.unfinished))
        if begun and self.settings.on_unknown == "fail" and self.settings.state != "sessions_dropped":
            raise LampError(
                "dbdeploy_incomplete",
                f"Another tool began delta {begun[0]} and never completed it.",
                "Look at the database. Run again with on_unknown=skip if it took effect, else on_unknown=retry.",
            )
        late = [delta for delta in self.pending() if self._late(delta)]
        if late and self.settings.out_of_order == "fail":
            raise LampError(
                "dbdeploy_out_of_order",
                f"{late[0].name} is pending, but delta {max(self.complete)} was applied already.",
                "Give it a higher number, or allow it with out_of_order=apply.",
            )

    def _late(self, delta: Delta) -> bool:
        """Whether it is below one that is applied; what was begun is no newcomer, whatever its number."""
        begun = delta.number in self.unfinished or delta.number in self.foreign
        return bool(self.complete) and delta.number < max(self.complete) and not begun

    def pending(self) -> list[Delta]:
        """The deltas that state=applied would run, by number."""
        to = self.settings.to
        found = [
            delta for delta in self.deltas if delta.number not in self.complete and (to is None or delta.number <= to)
        ]
        return [delta for delta in found if not self._late(delta)] if self.settings.out_of_order == "skip" else found

    def gaps(self) -> list[str]:
        """Numbers that neither a file nor the changelog has, below the highest. Dates as numbers have no gaps."""
        numbers = sorted({delta.number for delta in self.deltas} | self.complete | self.foreign)
        if not numbers or numbers[-1] > LARGEST_COUNTED:
            return []
        pairs = [(low + 1, high - 1) for low, high in zip([0, *numbers], numbers) if high - low > 1]
        return [str(low) if low == high else f"{low}-{high}" for low, high in pairs]

    def ahead(self) -> list[int]:
        """What shows that the folder is older than the database: numbers without a file that are above its highest.

        Those of old files may be gone; but not of a delta that was begun and never completed.
        """
        files = {delta.number for delta in self.deltas}
        begun = self.foreign | set(self.unfinished)
        highest = max(files, default=0)
        return sorted(number for number in (self.complete | begun) - files if number > highest or number in begun)

    def begun(self) -> list[dict[str, t.Any]]:
        """The deltas that were begun and never completed. What another tool began, nobody knows the end of."""
        own = {
            number: {"number": number, "direction": progress.direction, "unknown": progress.running is not None}
            for number, progress in self.unfinished.items()
        }
        others = {number: {"number": number, "direction": "do", "unknown": True} for number in self.foreign}
        return [one for _number, one in sorted({**others, **own}.items())]

    def undoable(self) -> list[Delta]:
        """The deltas that state=undone would undo, the highest first.

        :raises LampError: ``dbdeploy_no_undo``, ``dbdeploy_file_missing``
        """
        to = self.settings.to or 0
        files = {delta.number: delta for delta in self.deltas}
        begun = {number for number, progress in self.unfinished.items() if progress.direction == "undo"}
        numbers = sorted((number for number in self.complete | begun if number > to), reverse=True)
        for number in numbers:
            if number not in files:
                raise LampError(
                    "dbdeploy_file_missing",
                    f"Delta {number} is applied, but its file is not there, so that it cannot be undone.",
                    "Give the folder of the release that applied it.",
                )
            if not files[number].undo:
                raise LampError(
                    "dbdeploy_no_undo",
                    f"{files[number].name} has no undo part.",
                    "Nothing was undone; go forward instead.",
                )
        return [files[number] for number in numbers]

    def todo(self) -> list[Delta]:
        """The deltas that this run is about."""
        if self.settings.state == "undone":
            return self.undoable()
        if self.settings.state == "sessions_dropped":
            return []
        return self.pending()

    def work(self) -> list[tuple[str, list[Statement]]]:
        """What would be run: the deltas' names and statements."""
        if self.settings.state not in PARTS:
            return []
        return [(delta.name, getattr(delta, PARTS[self.settings.state])) for delta in self.todo()]

    def due(self, also: t.Iterable[str] = ()) -> list[str]:
        """The drops that are due once ``also`` are recorded."""
        return sorted({tag for tag, done in self.drops.items() if not done} | set(also))

    def new_tags(self) -> list[str]:
        """The drops that this run records."""
        if self.settings.state != "applied":
            return []
        tags = [delta.drop_tag for delta in self.pending() if delta.tagged] + self.settings.drop_tags
        return [*(tag for tag in dict.fromkeys(tags) if tag not in self.drops), *self.again()]

    def again(self) -> list[str]:
        """The drops that were done, and that this run records anew: code comes to an end that lacks what is tagged."""
        if self.settings.state != "applied" or not self.settings.replaced:
            return []
        lacked = [
            delta.drop_tag
            for delta in self.deltas
            if self.drops.get(delta.drop_tag)
            and any(delta.number not in numbers for numbers in self.settings.replaced)
            and delta.tagged
        ]
        return [tag for tag in dict.fromkeys(lacked + self.settings.drop_tags) if self.drops.get(tag)]

    def hand_tags(self) -> None:
        """Have the changelog record, or forget, with the first delta that completes what that is not tagged with."""
        self.changelog.again = self.again()
        tags = self.settings.drop_tags + self.changelog.again if self.settings.state in PARTS else []
        self.changelog.release_tags = list(dict.fromkeys(tags))

    def forgotten_tags(self) -> list[str]:
        """The recorded drops that this run takes back."""
        if self.settings.state != "undone":
            return []
        tags = [delta.drop_tag for delta in self.undoable() if delta.tagged] + self.settings.drop_tags
        return [tag for tag in dict.fromkeys(tags) if tag in self.drops]

    def plan(self) -> Result:
        """What the run returns, as far as it is known before it."""
        todo = self.todo()
        tags = self.new_tags()
        forgotten = self.forgotten_tags()
        due = (
            [] if self.settings.state == "sessions_dropped" else [tag for tag in self.due(tags) if tag not in forgotten]
        )
        acknowledged = self.settings.state == "sessions_dropped" and bool(self.due())
        summaries = [delta.summary() for delta in todo]
        numbers = {delta.number for delta in todo}
        return {
            "changed": bool(todo or tags or forgotten or acknowledged),
            "applied": summaries if self.settings.state == "applied" else [],
            "undone": summaries if self.settings.state == "undone" else [],
            "baselined": summaries if self.settings.state == "baselined" else [],
            "pending": [delta.summary() for delta in self.pending()],
            "drop_sessions": bool(due),
            "drop_reasons": due,
            "resumed": sorted(numbers & set(self.unfinished)),
            "gaps": self.gaps(),
            "ahead": self.ahead(),
            "unfinished": self.begun(),
        }

    def carry_out(self, lock: Lock) -> Result:
        """Do it, under ``lock``, which is held. What was done so far goes with a failure as its details."""
        with untouched():
            self.changelog.create(drops=False)
            # The plan was read before the lock was had: end its snapshot, or what others did since stays unseen.
            self.changelog.session.roll_back()
            self.read()
            self.check()
            result = self.plan()
            self.changelog.create(drops=bool(self.new_tags()))
            self.hand_tags()
            runner = Runner(self.changelog, lock, self.settings.on_unknown)
            self.changelog.session.roll_back()  # the deltas begin a transaction and a snapshot of their own
        kind = {"applied": "applied", "undone": "undone", "baselined": "baselined"}.get(self.settings.state, "")
        try:
            for delta in self.todo():
                self._one(runner, delta)
            runner.flush()
            self._finish()
        except LampError as error:
            error.details.update({kind or "applied": runner.done, "database_changed": runner.database_changed})
            raise
        finally:
            self.changelog.session.close()
        if kind:
            result[kind] = runner.done
        return {**result, "database_changed": runner.database_changed}

    def _one(self, runner: Runner, delta: Delta) -> None:
        state, changelog = self.settings.state, self.changelog
        present = delta.number in self.foreign
        takes_effect = present and self.settings.on_unknown == "skip"
        if state == "baselined" or (takes_effect and delta.number not in self.unfinished):
            sql = changelog.end_sql(delta) if present else changelog.complete_sql(delta, runner.now())
            runner.flush()
            changelog.write(sql + (changelog.drops_sql([delta]) if state == "applied" else []))
            changelog.release_tags = []
            runner.done.append({**delta.summary(), "duration": 0.0, "resumed_at": 0, "retries": 0})
            return
        direction = "undo" if state == "undone" else "do"
        runner.run(delta, direction, self.unfinished.get(delta.number), present=present)

    def _finish(self) -> None:
        """What is recorded beside the deltas."""
        if self.changelog.release_tags:  # there was no delta that they could go along with
            changelog, undone = self.changelog, self.settings.state == "undone"
            changelog.write(changelog.forget_drops_sql([]) if undone else changelog.drops_sql([]))
        elif self.settings.state == "sessions_dropped":
            self.changelog.drops_done()
            self.changelog.write([])
        if self.settings.accept_changed:
            edited = [self.changelog.complete_row(delta) for delta in self.edited()]
            self.changelog.write([self.changelog.state_sql(edited)] if edited else [])
