# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy leaves behind when it fails, and the ways back. Each test goes on from what the one before it left."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster, Run, address
from tests.support.site import WEB, Standing, add_delta, column, dropped, first_release, release, seen_on
from tests.support.traffic import User

BAD_SMOKE = ("-e", '{"deploy_smoke_tests": [{"path": "/", "contains": "Nonsense"}], "deploy_smoke_patience": 0}')


def ok(run: Run) -> str:
    assert run.code == 0, run.output
    return run.output


def failed(run: Run, *said: str) -> str:
    assert run.code != 0, run.output
    for text in said:
        assert text in run.output, run.output
    return run.output


def everywhere(version: str) -> None:
    assert {host: seen_on(host) for host in WEB} == dict.fromkeys(WEB, version)


def live(cluster: Cluster) -> str:
    return Path(cluster.ssh(address("web1"), "readlink /var/www/shop/current").strip()).name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("releases")


@pytest.fixture(scope="module")
def new_settings(folder: Path) -> list[str]:
    """Options for settings that the releases of before were not deployed with."""
    (folder / "settings.j2").write_text("new=1\n")
    template = {"src": str(folder / "settings.j2"), "dest": "settings.ini"}
    (folder / "more.yml").write_text(json.dumps({"all": {"vars": {"release_templates": [template]}}}))
    return ["-i", str(folder / "more.yml")]


def without_new_settings(cluster: Cluster) -> bool:
    """Whether the live release has no such settings on any host."""
    look = "ls -A /var/www/shop/current/"
    return not any("settings.ini" in cluster.ssh(address(host), look).split() for host in WEB)


class Releases:
    """They come after one another; ``last`` is the one that the site is to run."""

    def __init__(self, folder: Path, last: Path) -> None:
        self.folder = folder
        self.last = last

    def after(self, version: str, **given: Any) -> Path:
        """One that comes after the last."""
        return release(self.folder / version, version, after=self.last, **given)

    def live(self, made: Path | None = None) -> None:
        """The site runs it, or the last one again."""
        self.last = made or self.last
        everywhere(self.last.name)


@pytest.fixture(scope="module")
def releases(cluster: Cluster, folder: Path) -> Releases:
    return Releases(folder, first_release(cluster, folder, "r2"))


@pytest.fixture(scope="module")
def shop(cluster: Cluster, releases: Releases) -> Cluster:
    """The site with a release."""
    return cluster


def test_a_failed_deploy_is_undone_where_the_policy_says_so_and_hooks_hear_of_it(
    shop: Cluster, releases: Releases, folder: Path
) -> None:
    heard, hook = folder / "heard", folder / "hook.yml"
    hook.write_text(
        "- ansible.builtin.shell: echo {{ deploy_event | to_json | quote }} >> "
        f"{heard}\n  delegate_to: localhost\n  connection: local\n  run_once: true\n"
        "  vars: {ansible_python_interpreter: '{{ ansible_playbook_python }}'}\n"
    )
    moments = ["before_block", "after_deltas", "after_unblock", "after_record", "on_failure"]
    hooks = ("-e", json.dumps({"deploy_hooks": dict.fromkeys(moments, str(hook))}))
    before, statement = live(shop), column()
    made = releases.after("r3", statements=statement, undo=dropped(statement))
    failed(
        shop.deploy(made, "-e", "deploy_on_failure=undo", *hooks, *BAD_SMOKE), "The deltas of this deploy were undone"
    )
    releases.live()
    assert live(shop) == before
    standing = Standing(shop)
    assert (standing.verdict, standing.next) == ("all is well", "nothing")
    assert "failed, undone" in standing.output
    ok(shop.deploy(made, *hooks))  # the column can be added again, so it was gone
    releases.live(made)
    events = [json.loads(line) for line in heard.read_text().splitlines()]
    assert [event["moment"] for event in events] == [*moments[:2], "on_failure", *moments[:4]]
    assert events[2]["result"] == "failed, undone"
    assert "Nonsense" in events[2]["failure"]
    assert {event["release"] for event in events} == {live(shop)}


@pytest.mark.long
def test_what_cannot_be_undone_stays_blocked_and_says_why(shop: Cluster, releases: Releases, folder: Path) -> None:
    made = releases.after("r5", statements=column())
    failed(
        shop.deploy(made, "-e", "deploy_on_failure=undo", *BAD_SMOKE),
        "has no undo part", "The site stays blocked", "web3: ", "blocked by deploy",
    )  # fmt: skip
    everywhere("maintenance")
    standing = Standing(shop)
    standing.check()
    assert standing.verdict == "a deploy is unfinished"
    assert standing.next.startswith(f"ansible-playbook lamp.cluster.deploy -e deploy_source={made} ")
    ok(shop.deploy(made))
    releases.live(made)
    statements = column() + "ALTER TABLE nowhere ADD x INT;\n"
    half = releases.after("r6", statements=statements, undo="DO 1;\n")
    failed(shop.deploy(half, "-e", "deploy_on_failure=undo"), "is applied half way", "The site stays blocked")
    failed(shop.playbook("lamp.cluster.rollback", "-e", "rollback_undo=true"), "is applied half way")
    failed(shop.playbook("lamp.cluster.rollback"), "is applied half way", "-e deploy_deltas=")
    everywhere("maintenance")
    ok(shop.playbook("lamp.cluster.rollback", "-e", "deploy_deltas="))
    releases.live()
    standing = Standing(shop)
    assert "is applied half way" in standing.verdict, standing.output
    failed(
        shop.playbook("lamp.cluster.rollback", "-e", "rollback_undo=true"), "is live already, and the rollback to it"
    )
    delta = next((half / "db" / "deltas").glob("*_r6.sql"))
    delta.write_text(delta.read_text().replace("ALTER TABLE nowhere ADD x INT", "DO 2"))
    ok(shop.deploy(half))
    everywhere(half.name)
    ok(shop.playbook("lamp.cluster.rollback", "-e", "rollback_undo=true"))
    releases.live()


@pytest.mark.long
def test_a_delta_that_is_undone_half_way_is_finished_by_a_rollback_that_undoes_and_by_nothing_else(
    shop: Cluster, releases: Releases
) -> None:
    def unfinished(verdict: str) -> None:
        standing = Standing(shop)
        standing.check()
        assert standing.verdict == verdict, standing.output
        assert standing.next.endswith(" -e rollback_undo=true"), standing.output

    first, second, before = column(), column(), live(shop)
    undo = f"{dropped(second)}DELETE FROM missing;\n{dropped(first)}"
    made = releases.after("r13", statements=first + second, undo=undo)
    flag = "-e rollback_undo=true"
    failed(
        shop.deploy(made, "-e", "deploy_on_failure=undo", *BAD_SMOKE),
        "The site stays blocked. It was not undone:", f"finish the undo: ansible-playbook lamp.cluster.rollback {flag}",
    )  # fmt: skip
    unfinished("the undo of a deploy is unfinished")
    failed(shop.deploy(made), "stopped before anything was changed", "was cut off in its undo part", flag)
    failed(shop.playbook("lamp.cluster.rollback"), "is undone half way", "Finish that with -e rollback_undo=true.")
    failed(
        shop.playbook("lamp.cluster.rollback", "-e", "dbdeploy_login_port=9"),
        "Whether a delta is half applied, the database does not tell.",
    )
    failed(shop.playbook("lamp.cluster.rollback", "-e", "rollback_undo=true"), "missing", "The site stays blocked")
    everywhere("maintenance")
    unfinished("a rollback is unfinished")
    shop.ssh(address("db1"), "mariadb shop -e 'CREATE TABLE missing (n INT)'")
    ok(shop.playbook("lamp.cluster.rollback", "-e", "rollback_undo=true"))
    releases.live()
    assert live(shop) == before
    shop.ssh(address("db1"), "mariadb shop -e 'DROP TABLE missing'")
    standing = Standing(shop)
    assert (standing.verdict, standing.next) == ("all is well", "nothing"), standing.output


def test_a_rollback_undoes_deltas_or_says_why_not_before_the_block(
    shop: Cluster, releases: Releases, folder: Path
) -> None:
    bare = releases.after("r4", statements=column())
    ok(shop.deploy(bare))
    failed(shop.playbook("lamp.cluster.rollback", "-e", "rollback_undo=true"), "has no undo part")
    releases.live(bare)
    statement = column()
    made = releases.after("r7", statements=statement, undo=dropped(statement))
    ok(shop.deploy(made))
    left = live(shop)
    hook = folder / "break.yml"
    hook.write_text("- ansible.builtin.fail: {msg: broken by the test}\n")
    command = ("-e", "rollback_undo=true")
    broken = ("-e", json.dumps({"deploy_hooks": {"before_switch": str(hook)}}))
    failed(shop.playbook("lamp.cluster.rollback", *command, *broken), "broken by the test", "The site stays blocked")
    everywhere("maintenance")
    standing = Standing(shop)
    assert standing.verdict == "a rollback is unfinished"
    assert "rollback_undo=true" in standing.next
    ok(shop.playbook("lamp.cluster.rollback", *command))
    releases.live()
    failed(shop.deploy(made), f"Release {left} is marked")


def test_a_rollback_works_when_current_leads_nowhere(
    shop: Cluster, releases: Releases, folder: Path, new_settings: list[str]
) -> None:
    ok(shop.deploy(releases.after("r8")))
    everywhere("r8")
    gone = live(shop)
    for host in WEB:
        shop.ssh(address(host), f"rm -rf /var/www/shop/releases/{gone}")
    standing = Standing(shop)
    assert "current leads nowhere" in standing.output
    assert standing.verdict == "the live release is gone"
    ok(shop.playbook("lamp.cluster.rollback", *new_settings))
    releases.live()
    assert without_new_settings(shop)  # each release keeps its own


def test_status_tells_an_operators_block_from_a_deploys(shop: Cluster, releases: Releases) -> None:
    ok(shop.playbook("lamp.cluster.maintenance", "-e", "maintenance_state=enabled"))
    standing = Standing(shop)
    standing.check()
    assert standing.verdict == "an operator has blocked the site"
    assert standing.next.endswith("lamp.cluster.maintenance -e maintenance_state=disabled")
    ok(shop.playbook("lamp.cluster.maintenance", "-e", "maintenance_state=disabled"))
    releases.live()


def in_haproxy(shop: Cluster, command: str) -> None:
    """A command of an operator to the load balancer."""
    asked = ["podman", "exec", "-i", f"{shop.name}-lb1", "socat", "-", "/run/haproxy/admin.sock"]
    answer = subprocess.run(asked, input=f"{command}\n", check=True, capture_output=True, text=True).stdout
    assert not answer.strip(), answer


def test_what_fails_while_hosts_take_turns_is_put_back(
    shop: Cluster, releases: Releases, folder: Path, new_settings: list[str]
) -> None:
    broken = releases.after("r9")
    in_haproxy(shop, "set server web/web3 state maint")  # by somebody who looks after that host
    output = failed(
        shop.deploy(broken, *BAD_SMOKE, *new_settings),
        "Mode: rolling",
        "the site runs the release it ran before and is open",
    )
    assert len(set(re.findall(r"web\d: (\w+), open", output))) == 1
    assert User(shop.url).answering_hosts() == {"web1", "web2"}
    in_haproxy(shop, "set server web/web3 state ready")
    releases.live()
    assert without_new_settings(shop)
    add_delta(broken, column())
    failed(shop.deploy(broken, "-e", "deploy_mode=rolling"), "deltas are pending", "deploy_mode is rolling")


@pytest.mark.long
def test_settings_that_fail_and_a_host_that_is_new_are_put_back_as_they_were(
    shop: Cluster, releases: Releases, folder: Path
) -> None:
    template = {"src": str(folder / "notice.j2"), "dest": "public/notice.txt"}
    (folder / "notice.yml").write_text(json.dumps({"all": {"vars": {"release_templates": [template]}}}))

    def deploy(made: Path, notice: str, *options: str) -> Run:
        (folder / "notice.j2").write_text(notice)
        return shop.deploy(made, "-i", str(folder / "notice.yml"), *options)

    def notices(*hosts: str) -> set[str]:
        return {shop.ssh(address(host), "cat /var/www/shop/current/public/notice.txt").strip() for host in hosts}

    ok(deploy(releases.last, "open"))
    failed(deploy(releases.last, "sale", *BAD_SMOKE), "Mode: rolling", "the site runs the release it ran before and is")
    releases.live()
    assert notices(*WEB) == {"open"}
    assert not any(".replaced" in shop.ssh(address(host), "ls -A /var/www/shop/releases/.lamp") for host in WEB)
    shop.ssh(address("web3"), "rm -rf /var/www/shop/current /var/www/shop/releases")
    failed(
        deploy(releases.after("r14"), "sale", *BAD_SMOKE), "Mode: at once", "the release it ran before", "no release"
    )
    assert notices("web1", "web2") == {"open"}
    assert {host: seen_on(host) for host in ("web1", "web2")} == dict.fromkeys(("web1", "web2"), releases.last.name)
    assert "current" not in shop.ssh(address("web3"), "ls -A /var/www/shop").split()
    ok(deploy(releases.last, "open"))
    releases.live()
    assert Standing(shop).verdict == "all is well"


@pytest.mark.long
def test_a_sweep_that_fails_is_told_and_made_up_for_and_fails_no_deploy(
    shop: Cluster, releases: Releases, folder: Path
) -> None:
    made = releases.after("r10", tagged=True)
    hook = folder / "lost.yml"
    hook.write_text("- ansible.builtin.set_fact: {session_purge_login_port: 9}\n")
    User(shop.url).login()
    output = ok(shop.deploy(made, "-e", json.dumps({"deploy_hooks": {"after_record": str(hook)}})))
    assert "The site is open and the release is live, but not all that the session drop put aside" in output
    assert re.search(r"^result +deployed", output, re.MULTILINE), output
    releases.live(made)
    standing = Standing(shop)
    assert standing.verdict.startswith("all is well, but what a session drop put aside"), standing.output
    assert "Left behind by a session drop (the next deploy removes it): web1: " in standing.output
    output = ok(shop.deploy(made, "--check"))
    assert "What an earlier session drop put aside is removed" in output
    output = ok(shop.deploy(made))
    assert re.search(r"^result +nothing to do", output, re.MULTILINE), output
    assert Standing(shop).verdict == "all is well"
    assert shop.deploy(made).changed == 0


@pytest.mark.long
def test_a_failure_outside_of_the_window_is_told_as_one(shop: Cluster, releases: Releases, folder: Path) -> None:
    """The last lines say where the site is, the hook of failures hears of it; nothing is undone before users' eyes."""
    heard, breaks, tells = folder / "heard of failures", folder / "breaks.yml", folder / "tells.yml"
    breaks.write_text("- ansible.builtin.command: sh -c 'echo the till is shut >&2; exit 1'\n")
    tells.write_text(
        "- ansible.builtin.copy: {content: '{{ deploy_event | to_json }}', dest: '" + str(heard) + "'}\n"
        "  delegate_to: localhost\n  connection: local\n  run_once: true\n"
        "  vars: {ansible_python_interpreter: '{{ ansible_playbook_python }}'}\n"
    )
    before = seen_on("web1")
    statement = column()
    made = releases.after("r12", statements=statement, undo=dropped(statement))
    for moment, said, result, live in (
        (
            "before_plan",
            "stopped before anything was changed: the site is as it was",
            "failed, nothing changed",
            before,
        ),
        (
            "after_unblock",
            "The site is open. It was not undone: web1, web2, web3 may be open already",
            "failed, site open",
            "r12",
        ),
        ("before_record", "is live and the site is open", "failed, site open", "r12"),
    ):
        hooks = ("-e", json.dumps({"deploy_hooks": {moment: str(breaks), "on_failure": str(tells)}}))
        failed(shop.deploy(made, "-e", "deploy_on_failure=undo", *hooks), said, f"result      {result} · ")
        event = json.loads(heard.read_text())
        assert (event["moment"], event["result"]) == ("on_failure", result)
        assert re.fullmatch("web1: .*non-zero return code: the till is shut[.]", event["failure"])
        everywhere(live)
        assert f": {result}" in Standing(shop).output.partition("History:")[2].partition("So:")[0]
    ok(shop.deploy(made))
    releases.live(made)
    assert Standing(shop).verdict == "all is well"


@pytest.mark.long
def test_a_drop_is_due_again_when_its_release_was_put_back(shop: Cluster, releases: Releases, folder: Path) -> None:
    """Else the new code would meet sessions of the old one, made after the drop."""
    made, user = releases.after("r11"), User(shop.url)
    (made / ".lamp.yml").write_text("drop_sessions: true\n")
    user.login()
    failed(shop.deploy(made, *BAD_SMOKE), "the site runs the release it ran before", "Sessions were dropped")
    assert user.count()["user"] is None
    standing = Standing(shop)
    assert standing.verdict == "a session drop is due"
    user.login()
    ok(shop.deploy(made))
    releases.live(made)
    assert standing.drop_due == f"release {live(shop)}"
    assert Standing(shop).drop_due == "none"
    assert user.count()["user"] is None
    user.login()
    assert shop.deploy(made).changed == 0
    assert user.count()["user"] == "demo"
