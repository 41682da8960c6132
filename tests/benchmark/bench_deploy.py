# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploys: how long the site is blocked, and how long it all takes.

The cluster is a bed of containers on this machine. A window is compared with the SQL by the database's own client plus
four times one pipelined ``ping`` task on the same hosts, measured in the same round and beside the same visitors.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from tests.benchmark.table import Headline, Table
from tests.support.cluster import PREPARE, SUBNET, Cluster
from tests.support.site import add_delta, column, release
from tests.support.traffic import Traffic

RATE = 200  # requests a second: the block is seen from outside to 5 ms
PINGS = 6
FILES = 200
YARDSTICK = "the SQL and four pings"
BLOCKED, CODE, NOTHING = (
    "site blocked, one delta, {} web hosts",
    f"code-only deploy, {FILES} files, 1 web host",
    "deploy with nothing to do, 1 web host",
)
HEADLINES = (
    Headline(
        "Site blocked by a deploy with a delta, three web hosts",
        BLOCKED.format(3), "lamp.cluster", (YARDSTICK,),
    ),
    Headline(f"Deploy of code alone, {FILES} files, one web host; *ping*: one task", CODE, "lamp.cluster", ("ping",)),
    Headline("Deploy with nothing to do, one web host", NOTHING, "lamp.cluster", ("ping",)),
)  # fmt: skip


class Bench:
    """A cluster of ``hosts`` web hosts with a release, and what is measured on it."""

    def __init__(self, cluster: Cluster, folder: Path, hosts: int) -> None:
        self.cluster = cluster
        self.hosts = hosts
        self.folder = folder
        self.number = 0

    def made(self, files: int = 0) -> Path:
        """The next release, with as many files of its own."""
        before = self.folder / f"b{self.number}" if self.number else None
        self.number += 1
        made = release(self.folder / f"b{self.number}", f"b{self.number}", after=before)
        (made / "files").mkdir(exist_ok=True)
        for number in range(files):
            (made / "files" / f"{number}.php").write_text(f"<?php // {self.number} {number}\n" * 40)
        return made

    def run(self, *command: str) -> dict[str, float]:
        """Run a playbook; ``seconds`` beyond the start of Ansible, and those of each task by its name."""
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        environment = {**self.cluster.environment(), "LAMP_REPORT_JSON": str(report)}
        done = subprocess.run(
            self.cluster.command(*command), env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        document = json.loads(report.read_text())
        tasks = {task["what"]: task["seconds"] for phase in document["phases"] for task in phase["tasks"]}
        return {**tasks, "seconds": document["seconds"]}

    def ping(self, hosts: str) -> float:
        """One pipelined ping task on these hosts."""
        play = [
            {
                "hosts": hosts,
                "gather_facts": False,
                # In a phase, as a playbook without any is not reported.
                "tasks": [{"name": f"plan | ping {number}", "ansible.builtin.ping": {}} for number in range(PINGS)],
            }
        ]
        path = self.folder / "ping.yml"
        path.write_text(json.dumps(play))
        tasks = self.run(str(path))
        return statistics.median(tasks[f"ping {number}"] for number in range(1, PINGS))  # the first one connects

    def client(self) -> float:
        """SQL like the delta's, by the client on a node of the database."""
        begin = time.perf_counter()
        subprocess.run(
            ["podman", "exec", "-i", f"{self.cluster.name}-db1", "mariadb", "shop"],
            input=column(), text=True, check=True, capture_output=True,
        )  # fmt: skip
        return time.perf_counter() - begin

    def traffic(self) -> Traffic:
        """The visitors, who cost the machine the same whatever is measured."""
        return Traffic(self.cluster.url, rate=RATE, visitors=8)

    def yardstick(self) -> float:
        """What a window is compared with."""
        with self.traffic():
            return self.client() + 4 * self.ping("web")

    def window(self) -> float:
        """Seconds from the first blocked answer to the last, as a visitor sees it."""
        made = self.made()
        add_delta(made, column())
        with self.traffic() as traffic:
            self.run("lamp.cluster.deploy", "-e", f"deploy_source={made}")
        return traffic.blocked_seconds()

    def code_only(self) -> float:
        """A new release of many files on one host, all that comes after Ansible's start."""
        made = self.made(FILES)
        return self.run("lamp.cluster.deploy", "-e", f"deploy_source={made}", "-e", "deploy_hosts=web1")["seconds"]

    def nothing(self) -> float:
        """The same again."""
        made = self.folder / f"b{self.number}"
        return self.run("lamp.cluster.deploy", "-e", f"deploy_source={made}", "-e", "deploy_hosts=web1")["seconds"]


def bench(table: Table) -> None:
    """Boot a cluster, measure, take it down: a small one and a large one."""
    table.remarks.append(
        f"*{YARDSTICK}* is the client's time for the SQL plus 4 x ping on the same hosts, in the same round. It is no"
        " lower bound: the visitors cost the machine less while they get the maintenance page than beside the pings."
    )
    table.remarks.append(
        "A module call costs at least one ping. A deploy with nothing to do makes five (lock, stage, look, plan the"
        " deltas, unlock), one of code alone eight, beside two looks at the lock by the shell alone."
        " Each is a step that the same command takes up again after a kill."
    )
    for hosts, measure in ((3, small), (9, window)):
        with tempfile.TemporaryDirectory() as folder:
            cluster = Cluster("bench", Path(folder) / "inventory")
            cluster.up("--subnet", SUBNET, "--web", str(hosts))
            try:
                measure(table, prepared(cluster, Path(folder), hosts))
            finally:
                cluster.bed("down")


def prepared(cluster: Cluster, folder: Path, hosts: int) -> Bench:
    """A cluster that runs a release."""
    for playbook in (str(PREPARE), "lamp.cluster.setup"):
        run = cluster.playbook(playbook)
        assert run.code == 0, run.output
    bench = Bench(cluster, folder, hosts)
    bench.run("lamp.cluster.deploy")
    return bench


def window(table: Table, bench: Bench) -> None:
    """How long the site is blocked."""
    table.measure(BLOCKED.format(bench.hosts), {YARDSTICK: bench.yardstick, "lamp.cluster": bench.window})


def small(table: Table, bench: Bench) -> None:
    """The lines that need few hosts."""
    window(table, bench)
    ping = {"ping": lambda: bench.ping("web1")}
    table.measure(CODE, {**ping, "lamp.cluster": bench.code_only})
    table.measure(NOTHING, {**ping, "lamp.cluster": bench.nothing})
