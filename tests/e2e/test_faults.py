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
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.courses import COURSES, Course, Undone
from tests.support.faults import DISK, PATIENCE, STATE, Site, cut, mend_all
from tests.support.servers.base import wait_until
from tests.support.site import BLOCKED_BY_HAPROXY, WEB, Standing, first_release, seen_on
from tests.support.traffic import User

ALL = os.environ.get("LAMP_FAULTS") == "all"
# In front of these the sample is cut.
SAMPLE = ("release active",)
PARTS = 8  # of all boundaries, so that none takes too long by itself


@pytest.fixture(scope="module")
def site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(cluster, tmp_path_factory.mktemp("faults"))
    first_release(cluster, made.folder, "f0")
    return made


def tasks(site: Site, course: Course) -> int:
    """How many tasks it has when nobody cuts it."""
    log = site.folder / "tasks"
    log.unlink(missing_ok=True)  # of the part before
    run = cut(site, *course.command(), CUT_LOG=str(log))
    assert (run.code == 0) is not isinstance(course, Undone), run.output
    course.finish()
    return len(log.read_text().splitlines())


def die_in_front_of(course: Course, where: str, back: bool) -> None:
    """Cut it at a task, look at what the status says, and go on or back."""
    run = cut(course.site, *course.command(), CUT_AT=where)
    assert run.code == -signal.SIGKILL, f"{where}: {run.output}"
    standing = course.site.status()
    if not course.is_done() and {seen_on(host) for host in WEB} != {course.site.version}:
        assert standing.verdict in course.verdicts, standing.output
    if back and course.backs and standing.verdict in course.verdicts:
        course.site.go_back()
    else:
        course.finish()


def note(record_property: Callable[[str, object], None], tried: int, survived: int) -> None:
    """For the line at the end of the run."""
    record_property("faults", f"{tried} {survived}")


def cuts() -> list[tuple[str, str]]:
    """Which courses are cut where: at a part of all boundaries, or in front of one task."""
    if not ALL:
        return [("window", where) for where in SAMPLE]
    return [(name, f"part {part} of {PARTS}") for name in COURSES for part in range(1, PARTS + 1)]


@pytest.mark.long
@pytest.mark.parametrize(("name", "where"), cuts())
def test_a_controller_that_dies_between_two_tasks(
    site: Site, name: str, where: str, record_property: Callable[[str, object], None]
) -> None:
    course = COURSES[name]
    places = [where]
    if ALL:
        places = [str(number) for number in range(int(where.split()[1]), tasks(site, course(site)) + 1, PARTS)]
    failures = []
    for number, place in enumerate(places):
        try:
            die_in_front_of(course(site), place, back=number % 3 == 2)
        except (AssertionError, TimeoutError) as error:
            failures.append(f"in front of task {place}: {error}")
    site.well()
    note(record_property, len(places), len(places) - len(failures))
    assert not failures, "\n".join(failures)


def power_off(site: Site) -> None:
    """A web host dies after the deltas: users must not meet two versions, so the site stays blocked."""
    made = site.next()
    run = site.deploy(made, *site.hook("after_deltas", "power-off", "web3"))
    assert "The site stays blocked" in run.output, run.output
    assert site.status(away=("web3",)).verdict == "a deploy is unfinished"
    site.cluster.bed("power-on", "web3")
    assert seen_on("web3") == "maintenance"
    site.finish(made)


def cable(site: Site) -> None:
    """A web host is cut off before it is blocked: nothing has begun, and the others are opened again."""
    made = site.next()
    run = site.deploy(made, *site.hook("before_block", "cut", "web2"))
    assert run.code != 0, run.output
    assert "The site stays blocked" not in run.output, run.output
    assert [seen_on(host) for host in ("web1", "web3")] == [site.version] * 2
    assert site.status(away=("web2",)).verdict == "a deploy is unfinished"
    site.cluster.bed("mend", "web2")
    site.finish(made)


def cable_in_the_window(site: Site) -> None:
    """A web host is cut off right after it was blocked: no delta is applied, and the others are opened again."""
    made = site.next()
    run = site.deploy(made, *site.hook("after_block", "cut", "web2"))
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
    run = site.deploy(made, *site.hook("before_switch", "pause", "web2"))
    assert "The site stays blocked" in run.output, run.output
    site.cluster.bed("unpause", "web2")
    assert site.status().verdict == "a deploy is unfinished"
    site.go_back()


def full_disk_before(site: Site) -> None:
    """No room for the release on one host: nothing has begun."""
    made = site.next()
    run = site.deploy(made, *site.hook("before_stage", "fill", "web1", DISK))
    assert "release_disk_full" in run.output, run.output
    assert site.status().verdict == "all is well"
    site.cluster.bed("free", "web1", DISK)
    site.finish(made)


def full_disk_in_the_window(site: Site) -> None:
    """No room for the record of the switch on one host: none switches in front of users."""
    made = site.next()
    run = site.deploy(made, *site.hook("before_switch", "fill", "web1", DISK))
    assert "The site stays blocked" in run.output, run.output
    assert {seen_on(host) for host in WEB} == {"maintenance"}
    site.status()
    site.cluster.bed("free", "web1", DISK)
    site.finish(made)


def session_of_sshd(site: Site) -> None:
    """The connection that the deltas are applied through is killed."""
    made, process = site.deploy_in_a_delta()
    site.in_host("web1", "pkill", "-9", "-f", "^sshd: root")
    assert process.wait(PATIENCE) != 0
    site.status()
    site.finish(made)


def database(site: Site) -> None:
    """The node of the database that the deltas are applied to is killed."""
    made, process = site.deploy_in_a_delta()
    site.in_host("db1", "pkill", "-9", "mariadbd")
    assert process.wait(PATIENCE) != 0
    wait_until(lambda: "Deltas pending" in Standing(site.cluster).output, "the database", PATIENCE)
    site.status()
    site.finish(made)


def power_off_of_the_host_that_applies(site: Site) -> None:
    """The web host that applies the deltas, and keeps the lock, dies while it does."""
    made, process = site.deploy_in_a_delta()
    site.cluster.bed("power-off", "web1")
    assert process.wait(PATIENCE) != 0
    site.cluster.bed("power-on", "web1")
    assert {host: seen_on(host) for host in WEB} == dict.fromkeys(WEB, "maintenance")
    site.status()
    site.finish(made)


def cable_during_the_deltas(site: Site) -> None:
    """Another web host is cut off while deltas are applied: none switches, the others stay blocked."""
    made, process = site.deploy_in_a_delta()
    site.cluster.bed("cut", "web2")
    assert process.wait(PATIENCE) != 0
    assert [seen_on(host) for host in ("web1", "web3")] == ["maintenance"] * 2
    assert site.status(away=("web2",)).verdict == "a deploy is unfinished"
    site.cluster.bed("mend", "web2")
    assert seen_on("web2") == "maintenance"
    site.finish(made)


def controller_in_a_task(site: Site) -> None:
    """ansible-playbook is killed while a module works, which goes on without it."""
    made, process = site.deploy_in_a_delta()
    process.kill()
    process.wait()
    site.status()
    site.finish(made)


def full_state_before(site: Site) -> None:
    """No room for the lock on the host that keeps it, then for the first note on another: nothing has begun."""
    made = site.next()
    for host in ("web1", "web2"):
        site.cluster.bed("fill", host, STATE)
        run = site.deploy(made)
        assert run.code != 0, run.output
        assert f" {STATE}/" in run.output, run.output
        assert "No space left on device" in run.output, run.output
        assert {seen_on(one) for one in WEB} == {site.version}
        assert site.status().verdict == "all is well"
        site.cluster.bed("free", host, STATE)
    site.finish(made)


def full_state_at_the_block(site: Site) -> None:
    """No room for the block on one host: the others are opened again, and no delta is applied."""
    made = site.next()
    run = site.deploy(made, *site.hook("before_block", "fill", "web2", STATE))
    assert "maintenance_io" in run.output, run.output
    assert "The site stays blocked" not in run.output, run.output
    assert {seen_on(host) for host in WEB} == {site.version}
    assert site.status().verdict == "all is well"
    site.cluster.bed("free", "web2", STATE)
    site.finish(made)


def full_state_at_the_record(site: Site) -> None:
    """No room for the record of the deploy on one host: the release is live on all, and the same command ends it."""
    made = site.next()
    run = site.deploy(made, *site.hook("after_unblock", "fill", "web2", STATE))
    assert run.code != 0, run.output
    assert "No space left on device" in run.output, run.output
    assert {seen_on(host) for host in WEB} == {made.name}
    assert site.status().verdict == "a deploy is unfinished"
    site.cluster.bed("free", "web2", STATE)
    site.finish(made)


@contextlib.contextmanager
def blocked_by_haproxy(site: Site) -> Iterator[None]:
    """The load balancer blocks, for all web hosts."""
    site.options = ("-e", json.dumps(BLOCKED_BY_HAPROXY))
    try:
        run = site.cluster.playbook("lamp.cluster.setup", *site.options)
        assert run.code == 0, run.output
        yield
    finally:
        site.options = ()
        mend_all(site.cluster)
        run = site.cluster.playbook("lamp.cluster.setup")
        assert run.code == 0, run.output


def balancer_that_is_to_block(site: Site) -> None:
    """The load balancer dies before it blocks: nothing has begun."""
    with blocked_by_haproxy(site):
        made = site.next()
        run = site.deploy(made, *site.hook("before_block", "power-off", "lb1"))
        assert run.code != 0, run.output
        assert "lb1" in run.output, run.output
        standing = Standing(site.cluster, *site.options)
        assert standing.verdict == "a deploy is unfinished", standing.output
        site.cluster.bed("power-on", "lb1")
        assert seen_on("lb1") == site.version
        assert made.name in site.status().pending
        site.finish(made)


def balancer_that_blocks(site: Site) -> None:
    """The load balancer dies after the deltas: it comes back as it was, blocking."""
    with blocked_by_haproxy(site):
        made = site.next()
        run = site.deploy(made, *site.hook("after_deltas", "power-off", "lb1"))
        assert run.code != 0, run.output
        assert "lb1" in run.output, run.output
        standing = Standing(site.cluster, *site.options)
        assert standing.verdict == "a deploy is unfinished", standing.output
        assert not any("open" in line for line in standing.hosts.values()), standing.output
        site.cluster.bed("power-on", "lb1")
        assert seen_on("lb1") == "maintenance"
        standing = Standing(site.cluster, *site.options)
        assert all("blocked by deploy" in line for line in standing.hosts.values()), standing.output
        site.finish(made)
        assert seen_on("lb1") == made.name


def balancer_lost_in_a_turn(site: Site, loss: str, cure: str) -> None:
    """It is lost while a web host, which it sends no requests, is tested in its turn: none is left out in the end."""
    made = site.code_alone()
    (made / "public" / "slow.php").write_text("<?php sleep(8); echo 'slow';")
    site.options = ("-e", json.dumps({"deploy_smoke_tests": [{"path": "/slow.php", "contains": "slow"}]}))
    process = site.start(made)
    wait_until(lambda: made.name in map(seen_on, WEB), "the first turn", PATIENCE)
    site.cluster.bed(loss, "lb1")
    assert process.wait(PATIENCE) != 0
    assert Standing(site.cluster, *site.options).verdict == "a deploy is unfinished"
    site.cluster.bed(cure, "lb1")
    wait_until(lambda: seen_on("lb1") in (site.version, made.name), "the load balancer", PATIENCE)
    assert site.status().verdict == "a deploy is unfinished"
    site.finish(made)


def balancer_in_a_turn(site: Site) -> None:
    """It dies, and comes back with no host left out."""
    balancer_lost_in_a_turn(site, "power-off", "power-on")


def balancer_cut_off_in_a_turn(site: Site) -> None:
    """It goes on, and leaves the host out until it is told otherwise."""
    balancer_lost_in_a_turn(site, "cut", "mend")


FAULTS: list[Any] = [
    full_disk_in_the_window, power_off, database, hang, cable, cable_in_the_window, cable_during_the_deltas,
    session_of_sshd, full_disk_before, controller_in_a_task, power_off_of_the_host_that_applies, full_state_before,
    full_state_at_the_block, full_state_at_the_record, balancer_that_is_to_block, balancer_that_blocks,
    balancer_in_a_turn, balancer_cut_off_in_a_turn,
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS if ALL else FAULTS[:1])
def test_a_fault_inside_of_a_task(
    site: Site, fault: Callable[[Site], None], record_property: Callable[[str, object], None]
) -> None:
    survived = 0
    user = User(site.cluster.url)
    user.login()
    try:
        fault(site)
        assert (user.count()["user"] is None) is site.tagged  # a tagged release drops before it switches
        site.well()
        survived = 1
    finally:
        note(record_property, 1, survived)
        site.options = ()
        mend_all(site.cluster)
