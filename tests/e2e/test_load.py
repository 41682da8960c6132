# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten deploys in a row under load: what each visitor got, and who stayed logged in."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.servers.base import wait_until
from tests.support.site import WEB, add_delta, column, first_release, release, seen_on
from tests.support.traffic import Members, Traffic

RATE = 40  # requests a second


@pytest.fixture(scope="module")
def folder(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the releases are; l0 is live."""
    made = Path(tmp_path_factory.mktemp("load"))
    first_release(cluster, made, "l0")
    return made


class Load:
    """Visitors and members while deploys go on; each deploy is judged by what came while it ran."""

    def __init__(self, cluster: Cluster, folder: Path, traffic: Traffic, members: Members) -> None:
        self.cluster, self.folder, self.traffic, self.members = cluster, folder, traffic, members
        self.version = "l0"
        self.deploys = 0
        self.losses = list(members.losses)  # before this deploy, those of its attempts that failed included

    def made(self, statements: str = "", *, tagged: bool = False) -> Path:
        """The next release."""
        name = f"l{self.deploys + 1}"
        return release(self.folder / name, name, after=self.folder / self.version, statements=statements, tagged=tagged)

    def deploy(self, made: Path, *options: str, drops: bool = False, window: bool = True, code: int = 0) -> str:
        """Deploy it, and look at every answer meanwhile.

        :param code: how the deploy is to end; one that fails is no deploy yet
        """
        begin = len(self.traffic.responses)
        run = self.cluster.deploy(made, *options)
        assert run.code == code, run.output
        self.members.settle() if not code else None
        answers = [response.kind for response in sorted(self.traffic.responses[begin:], key=lambda one: one.moment)]
        kinds, new = Counter(answers), made.name
        assert set(kinds) <= {self.version, "maintenance", new}, f"{new}: {kinds}"
        assert ("maintenance" in kinds) == window, f"{new}: {kinds}"
        if window and new in kinds and self.version in kinds:
            # Nobody meets the old release once somebody met the new one.
            assert answers.index(new) > max(place for place, kind in enumerate(answers) if kind == self.version)
        if not code:
            lost = [now - before for now, before in zip(self.members.losses, self.losses)]
            assert lost == [1 if drops else 0] * len(lost), f"{new}: {lost}"
            self.version, self.losses = new, list(self.members.losses)
            self.deploys += 1
        return run.output


@pytest.mark.long
def test_ten_deploys_under_load(cluster: Cluster, folder: Path) -> None:
    with Members(cluster.url) as members, Traffic(cluster.url, rate=RATE, visitors=6) as traffic:
        wait_until(lambda: len(traffic.responses) > RATE, "visitors")
        load = Load(cluster, folder, traffic, members)
        load.deploy(load.made(column()))
        assert "Mode: rolling" in load.deploy(load.made(), window=False)
        load.deploy(load.made(column(), tagged=True), drops=True)
        load.deploy(load.made(), "-e", '{"deploy_balancers": []}', window=False)
        load.deploy(load.made("UPDATE product SET price_cents = price_cents + 1;\n"))
        broken = load.made(column())
        bad = add_delta(broken, "ALTER TABLE nowhere ADD x INT;\n")
        load.deploy(broken, code=2)
        bad.write_text(column())
        load.deploy(broken)
        load.deploy(load.made(), "-e", '{"deploy_batch": 2}', window=False)
        by_build = load.made()
        (by_build / ".lamp.yml").write_text("drop_sessions: true\n")
        (by_build / "built").write_text(str(time.time_ns()))  # a build drops once, also on a cluster that is kept
        load.deploy(by_build, drops=True)
        load.deploy(load.made(), "-e", "deploy_mode=window")
        load.deploy(load.made(column() + column(), tagged=True), drops=True)
    assert load.deploys == 10
    assert members.faults == []
    assert {host: seen_on(host) for host in WEB} == dict.fromkeys(WEB, load.version)
    print(f"{len(traffic.responses)} answers in ten deploys: {dict(traffic.kinds())}")
