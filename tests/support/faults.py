# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo application's site while faults happen to it: releases to deploy, what must hold after each fault."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path

from tests.support.cluster import BED, Cluster, Run
from tests.support.modules import ROOT
from tests.support.servers.base import wait_until
from tests.support.site import WEB, Standing, column, dropped, release, seen_on
from tests.support.traffic import User

DISK = "/var/www/shop"
STATE = "/var/lib/lamp.cluster"  # the lock, the block, the journal
SLOW = "DO SLEEP(12);\n"  # long enough to be met in it on a slow machine
PATIENCE = 300.0  # seconds until what must happen counts as not having happened


class Site:
    """The site while it is broken and mended.

    ``version`` is what its users should get, ``tagged`` whether the last release made logs them out, ``options`` what
    all commands are given.
    """

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.started = folder / "started"
        self.version = "f0"
        self.tried = 0
        self.tagged = True
        self.options: tuple[str, ...] = ()

    def next(self, statements: str = "") -> Path:
        """A release with a tagged delta that can be undone."""
        added = column()
        return self._release(statements=statements + added, undo=dropped(added), tagged=True)

    def code_alone(self) -> Path:
        """A release that the hosts can take in turns."""
        return self._release()

    def _release(self, *, tagged: bool = False, **given: str) -> Path:
        self.tried += 1
        self.tagged = tagged
        name = f"f{self.tried}"
        return release(self.folder / name, name, after=self.folder / self.version, tagged=tagged, **given)

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
        standing = Standing(self.cluster, *self.options)
        standing.check(away)
        blocked = [host for host in WEB if host not in away and seen_on(host) == "maintenance"]
        if blocked:
            assert standing.verdict in ("a deploy is unfinished", "a rollback is unfinished"), standing.output
        return standing

    def deploy(self, made: Path, *arguments: str) -> Run:
        """A deploy that is waited for."""
        return self.cluster.deploy(made, *self.options, *arguments)

    def finish(self, made: Path) -> None:
        """The same command again."""
        run = self.deploy(made)
        assert run.code == 0, run.output
        self.version = made.name
        self.settled()

    def go_back(self) -> None:
        """The other way out."""
        run = self.cluster.playbook("lamp.cluster.rollback", "-e", "rollback_undo=true")
        assert run.code == 0, run.output
        self.settled()

    def settled(self) -> None:
        """All web hosts serve the release, and the load balancer leaves none out."""
        assert {host: seen_on(host) for host in WEB} == dict.fromkeys(WEB, self.version)
        visitor = User(self.cluster.url)
        wait_until(lambda: visitor.answering_hosts() == set(WEB), "answers of all web hosts")

    def well(self) -> None:
        """The status says so as well."""
        standing = Standing(self.cluster)
        assert (standing.verdict, standing.next) == ("all is well", "nothing"), standing.output

    def start(self, made: Path) -> subprocess.Popen[bytes]:
        """A deploy that goes on by itself; what it prints is in ``started``."""
        with self.started.open("w") as output:
            return subprocess.Popen(
                self.cluster.command("lamp.cluster.deploy", "-e", f"deploy_source={made}", *self.options),
                env=self.cluster.environment(), cwd=ROOT, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def in_host(self, host: str, *command: str) -> str:
        """Run a command in a host, not through its sshd."""
        return subprocess.run(
            ["podman", "exec", f"{self.cluster.name}-{host}", *command], capture_output=True, text=True, check=False
        ).stdout

    def deploy_in_a_delta(self) -> tuple[Path, subprocess.Popen[bytes]]:
        """A release and its deploy, which goes on by itself; the database works on a slow delta of it."""
        made = self.next(SLOW)
        process = self.start(made)
        query = ("mariadb", "-Ne", "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'DO SLEEP%'")

        def at_work() -> bool:
            assert process.poll() is None, self.started.read_text()
            return self.in_host("db1", *query).strip() not in ("", "0")

        wait_until(at_work, "the slow delta", PATIENCE)
        return made, process


def cut(site: Site, *command: str, **settings: str) -> Run:
    """A playbook with the callback that kills it."""
    callback = {"ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests" / "support" / "cut"), "ANSIBLE_CALLBACKS_ENABLED": "cut"}
    return site.cluster.playbook(*command, settings={**callback, **settings})


MENDING = (
    *(("unpause", "web2"), ("mend", "web2"), ("power-on", "web1"), ("power-on", "web3")),
    *(("mend", "lb1"), ("power-on", "lb1")),
    *(("free", "web1", DISK), ("free", "web1", STATE), ("free", "web2", STATE)),
)


def mend_all(cluster: Cluster) -> None:
    """Whatever a fault that failed its test left, so that the tests after it have a whole cluster."""
    for command in MENDING:
        with contextlib.suppress(AssertionError):  # it was mended already
            cluster.bed(*command)
