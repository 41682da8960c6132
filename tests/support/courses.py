# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a controller is killed in: deploys that go well, one that is undone, a rollback; and what finishes each."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.faults import Site
from tests.support.site import WEB, seen_on
from tests.support.traffic import User


class Course:
    """A deploy with deltas and a drop, in a window. ``made`` is its release, ``before`` the one that users have."""

    verdicts: tuple[str, ...] = ("a deploy is unfinished",)
    backs = True  # whether a rollback is a way out as well

    def __init__(self, site: Site) -> None:
        self.site = site
        self.before = site.version
        self.made = self.make()
        self.user = User(site.cluster.url)
        self.user.login()

    def make(self) -> Path:
        """Its release."""
        return self.site.next()

    def command(self) -> tuple[str, ...]:
        """The playbook and its options."""
        return "lamp.cluster.deploy", "-e", f"deploy_source={self.made}"

    def is_done(self) -> bool:
        """Whether there is nothing left but the last notes."""
        return {seen_on(host) for host in WEB} == {self.made.name}

    def finish(self) -> None:
        """The same command again."""
        self.site.finish(self.made)
        assert (self.user.count()["user"] is None) is self.site.tagged


class CodeAlone(Course):
    """A switch of the code, without a window."""

    def make(self) -> Path:
        return self.site.code_alone()


class Undone(Course):
    """A deploy that fails after its delta, and by the policy is undone."""

    def command(self) -> tuple[str, ...]:
        options = {
            "deploy_on_failure": "undo", "deploy_smoke_tests": [{"path": "/", "contains": "Nonsense"}],
            "deploy_smoke_patience": 0,
        }  # fmt: skip
        return *super().command(), "-e", json.dumps(options)

    def is_done(self) -> bool:
        return {seen_on(host) for host in WEB} == {self.before}


class Rollback(Course):
    """A rollback that undoes deltas."""

    verdicts = ("a rollback is unfinished",)
    backs = False

    def make(self) -> Path:
        made = self.site.next()
        self.site.finish(made)
        return made

    def command(self) -> tuple[str, ...]:
        return "lamp.cluster.rollback", "-e", "rollback_undo=true"

    def is_done(self) -> bool:
        return {seen_on(host) for host in WEB} == {self.before}

    def finish(self) -> None:
        self.site.version = self.before
        if not self.is_done() or self.site.status().verdict in self.verdicts:
            self.site.go_back()


COURSES = {"window": Course, "code alone": CodeAlone, "undone": Undone, "rollback": Rollback}
