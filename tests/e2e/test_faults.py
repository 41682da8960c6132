# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploys that something happens to. After each the status tells the truth, and the same command or a rollback goes on.

LAMP_FAULTS=all tries every task boundary and every fault (`make faults`); otherwise a sample of them is tried.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import BED, Cluster, Run
from tests.support.modules import ROOT
from tests.support.servers.base import wait_until
from tests.support.site import WEB, Standing, column, dropped, first_release, release, seen_on
from tests.support.traffic import User

ALL = os.environ.get("LAMP_FAULTS") == "all"
# In front of these the sample is cut: each of them leaves the site in another state.
SAMPLE = ("Apply the pending deltas", "Switch to the release")
DISK = "/var/www/shop"
SLOW = "DO SLEEP(8);\n"  # long enough to be met in it on a slow machine
PATIENCE = 300.0  # seconds until what must happen counts as not having happened
PARTS = 8  # of all boundaries, so that none takes too long by itself


class Site:
    """The site while it is broken and mended: ``version`` is what its users should get."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.version = "f0"
        self.tried = 0

    def next(self, statements: str = "") -> Path:
        """A release with a tagged delta that can be undone."""
        self.tried += 1
        name = f"f{self.tried}"
        added = column()
        return release(
            self.folder / name, name,
            after=self.folder / self.version, statements=statements + added, undo=dropped(added), tagged=True,
        )  # fmt: skip

    def hook(self, moment: str, *arguments: str) -> tuple[str, str]:
        """The options that let the bed do something at that moment of a deploy."""
        command, *rest = arguments
        task = {
            "ansible.builtin.command": {"argv": [str(BED), command, "--name", self.cluster.name, *rest]},
            "delegate_to": "localhost",
            "connection": "local",
            "run_once": True,
            "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
        }
        path = self.folder / f"hook{self.tried}.yml"
        path.write_text(json.dumps([task]))
        return "-e", json.dumps({"deploy_hooks": {moment: str(path)}})

    def status(self, away: tuple[str, ...] = ()) -> Standing:
        """What the status says, which must be the truth."""
        standing = Standing(self.cluster)
        standing.check(away)
        blocked = [host for host in WEB if host not in away and seen_on(host) == "maintenance"]
        if blocked:
            assert standing.verdict == "a deploy is unfinished", standing.output
        return standing

    def finish(self, made: Path) -> None:
        """The same command again."""
        run = self.cluster.deploy(made)
        assert run.code == 0, run.output
        self.version = made.name
        self.settled()

    def go_back(self) -> None:
        """The other way out."""
        run = self.cluster.playbook("lamp.cluster.rollback", "-e", "rollback_undo=true")
        assert run.code == 0, run.output
        self.settled()

    def settled(self) -> None:
        """All web hosts serve the release, nothing is left to do."""
        assert {host: seen_on(host) for host in WEB} == dict.fromkeys(WEB, self.version)

    def well(self) -> None:
        """The status says so as well."""
        standing = Standing(self.cluster)
        assert (standing.verdict, standing.next) == ("all is well", "nothing"), standing.output

    def start(self, made: Path) -> subprocess.Popen[bytes]:
        """A deploy that goes on by itself."""
        return subprocess.Popen(
            self.cluster.command("lamp.cluster.deploy", "-e", f"deploy_source={made}"),
            env=self.cluster.environment(), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def in_host(self, host: str, *command: str) -> str:
        """Run a command in a host, not through its sshd."""
        return subprocess.run(
            ["podman", "exec", f"{self.cluster.name}-{host}", *command], capture_output=True, text=True, check=False
        ).stdout

    def wait_for_slow_delta(self) -> None:
        """Return when the database works on it."""
        query = ("mariadb", "-Ne", "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'DO SLEEP%'")
        wait_until(lambda: self.in_host("db1", *query).strip() not in ("", "0"), "the slow delta", PATIENCE)


@pytest.fixture(scope="module")
def site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(cluster, tmp_path_factory.mktemp("faults"))
    first_release(cluster, made.folder, "f0")
    return made


def cut(site: Site, made: Path, **settings: str) -> Run:
    """A deploy with the callback that kills it."""
    callback = {"ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests" / "support" / "cut"), "ANSIBLE_CALLBACKS_ENABLED": "cut"}
    return site.cluster.playbook(
        "lamp.cluster.deploy", "-e", f"deploy_source={made}", settings={**callback, **settings}
    )


def tasks(site: Site) -> list[str]:
    """The tasks of a whole deploy with deltas and a drop, in their order."""
    log = site.folder / "tasks"
    made = site.next()
    run = cut(site, made, CUT_LOG=str(log))
    assert run.code == 0, run.output
    site.version = made.name
    return [line.rpartition(" : ")[2] for line in log.read_text().splitlines()]


def die_in_front_of(site: Site, where: str, back: bool) -> None:
    """Cut a deploy at a task, look at what the status says, and go on or back."""
    user = User(site.cluster.url)
    user.login()
    made, before = site.next(), site.version
    run = cut(site, made, CUT_AT=where)
    assert run.code == -signal.SIGKILL, f"{where}: {run.output}"
    seen = {seen_on(host) for host in WEB}
    standing = site.status()
    if seen == {made.name} and standing.verdict.startswith("all is well"):
        pass  # all but the last notes had been made
    elif seen != {before}:
        assert standing.verdict == "a deploy is unfinished", standing.output
    if back and standing.verdict == "a deploy is unfinished":
        site.go_back()
        return
    site.finish(made)
    assert user.count()["user"] is None, where


def note(record_property: Callable[[str, object], None], tried: int, survived: int) -> None:
    """For the line at the end of the run."""
    record_property("faults", f"{tried} {survived}")


@pytest.mark.parametrize("where", [f"part {part} of {PARTS}" for part in range(1, PARTS + 1)] if ALL else SAMPLE)
def test_a_controller_that_dies_between_two_tasks(
    site: Site, where: str, record_property: Callable[[str, object], None]
) -> None:
    places = [where]
    if ALL:
        places = [str(number) for number in range(int(where.split()[1]), len(tasks(site)) + 1, PARTS)]
    failures = []
    for number, place in enumerate(places):
        try:
            die_in_front_of(site, place, back=number % 3 == 2)
        except AssertionError as error:
            failures.append(f"in front of task {place}: {error}")
    site.well()
    note(record_property, len(places), len(places) - len(failures))
    assert not failures, "\n".join(failures)


def power_off(site: Site) -> None:
    """A web host dies after the deltas: users must not meet two versions, so the site stays blocked."""
    made = site.next()
    run = site.cluster.deploy(made, *site.hook("after_deltas", "power-off", "web3"))
    assert "The site stays blocked" in run.output, run.output
    assert site.status(away=("web3",)).verdict == "a deploy is unfinished"
    site.cluster.bed("power-on", "web3")
    assert seen_on("web3") == "maintenance"
    site.finish(made)


def cable(site: Site) -> None:
    """A web host is cut off before it is blocked: nothing has begun, and the others are opened again."""
    made = site.next()
    run = site.cluster.deploy(made, *site.hook("before_block", "cut", "web2"))
    assert run.code != 0, run.output
    assert "The site stays blocked" not in run.output, run.output
    assert [seen_on(host) for host in ("web1", "web3")] == [site.version] * 2
    assert site.status(away=("web2",)).verdict == "a deploy is unfinished"
    site.cluster.bed("mend", "web2")
    site.finish(made)


def cable_in_the_window(site: Site) -> None:
    """A web host is cut off right after it was blocked: no delta is applied, and the others are opened again."""
    made = site.next()
    run = site.cluster.deploy(made, *site.hook("after_block", "cut", "web2"))
    assert run.code != 0, run.output
    assert "deltas      " not in run.output, run.output  # the summary's row of those that were applied
    assert "Not all of it could be put back" in run.output, run.output
    assert "web2: cannot be reached" in run.output, run.output
    assert [seen_on(host) for host in ("web1", "web3")] == [site.version] * 2
    standing = site.status(away=("web2",))
    assert standing.verdict == "a deploy is unfinished"
    assert made.name in standing.pending, standing.output
    site.cluster.bed("mend", "web2")
    assert seen_on("web2") == "maintenance"
    site.finish(made)


def hang(site: Site) -> None:
    """A web host hangs before the switch; this time the way out is back."""
    made = site.next()
    run = site.cluster.deploy(made, *site.hook("before_switch", "pause", "web2"))
    assert "The site stays blocked" in run.output, run.output
    site.cluster.bed("unpause", "web2")
    assert site.status().verdict == "a deploy is unfinished"
    site.go_back()


def full_disk_before(site: Site) -> None:
    """No room for the release on one host: nothing has begun."""
    made = site.next()
    run = site.cluster.deploy(made, *site.hook("before_stage", "fill", "web1", DISK))
    assert "release_disk_full" in run.output, run.output
    assert site.status().verdict == "all is well"
    site.cluster.bed("free", "web1", DISK)
    site.finish(made)


def full_disk_in_the_window(site: Site) -> None:
    """No room for the record of the switch on one host: none switches in front of users."""
    made = site.next()
    run = site.cluster.deploy(made, *site.hook("before_switch", "fill", "web1", DISK))
    assert "The site stays blocked" in run.output, run.output
    assert {seen_on(host) for host in WEB} == {"maintenance"}
    site.status()
    site.cluster.bed("free", "web1", DISK)
    site.finish(made)


def session_of_sshd(site: Site) -> None:
    """The connection that the deltas are applied through is killed."""
    made = site.next(SLOW)
    process = site.start(made)
    site.wait_for_slow_delta()
    site.in_host("web1", "pkill", "-9", "-f", "^sshd: root")
    assert process.wait(PATIENCE) != 0
    site.status()
    site.finish(made)


def database(site: Site) -> None:
    """The node of the database that the deltas are applied to is killed."""
    made = site.next(SLOW)
    process = site.start(made)
    site.wait_for_slow_delta()
    site.in_host("db1", "pkill", "-9", "mariadbd")
    assert process.wait(PATIENCE) != 0
    wait_until(lambda: "Deltas pending" in Standing(site.cluster).output, "the database", PATIENCE)
    site.status()
    site.finish(made)


def power_off_of_the_host_that_applies(site: Site) -> None:
    """The web host that applies the deltas, and keeps the lock, dies while it does."""
    made = site.next(SLOW)
    process = site.start(made)
    site.wait_for_slow_delta()
    site.cluster.bed("power-off", "web1")
    assert process.wait(PATIENCE) != 0
    site.cluster.bed("power-on", "web1")
    assert {host: seen_on(host) for host in WEB} == dict.fromkeys(WEB, "maintenance")
    site.status()
    site.finish(made)


def cable_during_the_deltas(site: Site) -> None:
    """Another web host is cut off while deltas are applied: none switches, the others stay blocked."""
    made = site.next(SLOW)
    process = site.start(made)
    site.wait_for_slow_delta()
    site.cluster.bed("cut", "web2")
    assert process.wait(PATIENCE) != 0
    assert [seen_on(host) for host in ("web1", "web3")] == ["maintenance"] * 2
    assert site.status(away=("web2",)).verdict == "a deploy is unfinished"
    site.cluster.bed("mend", "web2")
    assert seen_on("web2") == "maintenance"
    site.finish(made)


def controller_in_a_task(site: Site) -> None:
    """ansible-playbook is killed while a module works, which goes on without it."""
    made = site.next(SLOW)
    process = site.start(made)
    site.wait_for_slow_delta()
    process.kill()
    process.wait()
    site.status()
    site.finish(made)


def mend_all(cluster: Cluster) -> None:
    """Whatever a fault that failed its test left, so that the tests after it have a whole cluster."""
    for command in (
        ("unpause", "web2"), ("mend", "web2"), ("power-on", "web1"), ("power-on", "web3"), ("free", "web1", DISK),
    ):  # fmt: skip
        with contextlib.suppress(AssertionError):  # it was mended already
            cluster.bed(*command)


FAULTS: list[Any] = [power_off, full_disk_in_the_window, database]
MORE: list[Any] = [
    hang, cable, cable_in_the_window, cable_during_the_deltas, session_of_sshd, full_disk_before, controller_in_a_task,
    power_off_of_the_host_that_applies,
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS + (MORE if ALL else []))
def test_a_fault_inside_of_a_task(
    site: Site, fault: Callable[[Site], None], record_property: Callable[[str, object], None]
) -> None:
    survived = 0
    user = User(site.cluster.url)
    user.login()
    try:
        fault(site)
        assert user.count()["user"] is None  # each of the releases is tagged, and drops before it switches
        site.well()
        survived = 1
    finally:
        note(record_property, 1, survived)
        mend_all(site.cluster)
