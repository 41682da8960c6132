# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks of dbdeploy have in common: the contestants, and how they are timed and counted."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.options import ARGUMENTS
from ansible_collections.lamp.cluster.plugins.modules import dbdeploy

from tests.benchmark.network import delayed, remark
from tests.benchmark.peers import PEERS, Deltas, Peer, Raw, generate
from tests.benchmark.table import Table, Timed
from tests.support.modules import COLLECTIONS, ROOT, run_ansible, run_module
from tests.support.servers.mariadb import MariaDB

SIZES = (10, 100, 1000)
OTHERS = tuple(peer.name for peer in PEERS)
QUICK = tuple(peer for peer in PEERS if max(SIZES) < peer.once_from)
REMARKS = (
    "Every fourth delta makes a table and puts a row into it, the others add a row: 1250 statements in 1000 deltas. The"
    " floor is the client with all statements in one script, which records nothing.",
    "The *engine* is the module's work from reading the folder to its answer, connection included; the *process* is the"
    " module as Ansible starts it on a host; the *task* is a whole `ansible` command, action plugin, its own start and"
    " all. The other tools are timed as commands, as their users run them.",
)
PEAK = """import json, re, sys
from types import SimpleNamespace
from ansible_collections.lamp.cluster.plugins.modules import dbdeploy
dbdeploy.dbdeploy(SimpleNamespace(params=json.load(sys.stdin), check_mode=False, _diff=False, warn=print))
print(int(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]) / 1024)
"""


def check(answer: dict[str, Any]) -> None:
    """:raises RuntimeError: when the module did not come to its end"""
    if "applied" not in answer or "error_code" in answer:
        raise RuntimeError(answer.get("msg"))


class Engine(Peer):
    """The module's work inside of a process that runs already."""

    name = "engine"

    @property
    def options(self) -> dict[str, object]:
        """The module's options."""
        return {"src": str(self.folder), "login_db": self.database, **self.server.login}

    @property
    def params(self) -> dict[str, object]:
        """The same, and the defaults of all others."""
        return {**{name: option.get("default") for name, option in ARGUMENTS.options.items()}, **self.options}

    def run(self) -> None:
        module = SimpleNamespace(params=self.params, check_mode=False, _diff=False, warn=print)
        dbdeploy.dbdeploy(module)


class Process(Engine):
    """The module as a process."""

    name = "process"
    sizes = range(1000, 1001)

    def run(self) -> None:
        check(run_module("dbdeploy", self.options))


class Task(Engine):
    """The module as a task of Ansible, on this machine."""

    name = "task"
    sizes = range(1000, 1001)

    def run(self) -> None:
        python = f"ansible_python_interpreter={sys.executable}"
        check(run_ansible("localhost", "localhost,", "dbdeploy", self.options, "-c", "local", "-e", python))


def contestants(
    folder: Path, server: MariaDB, deltas: Deltas, kinds: tuple[type[Peer], ...] = (Raw, Engine, Process, Task, *PEERS)
) -> list[Peer]:
    """Those that can be had with so many deltas, with their files."""
    found: list[Peer] = []
    for kind in kinds:
        if len(deltas) in kind.sizes:
            peer = kind(folder / kind.__name__.lower(), server, f"bench_{kind.__name__.lower()}")
            peer.prepare(deltas)
            found.append(peer)
    return found


def applies(peer: Peer) -> Timed:
    """Apply all deltas to an empty database; only the applying is timed."""

    def run() -> float:
        peer.empty()
        begin = time.perf_counter()
        peer.run()
        return time.perf_counter() - begin

    return run


def questions(server: MariaDB, action: Callable[[], object]) -> int:
    """How many questions the server is asked by ``action``."""
    with server.connect() as connection, connection.cursor() as cursor:
        counts = []
        for step in (action, None):
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Questions'")
            counts.append(int(cursor.fetchall()[0][1]))
            if step:
                step()
    return counts[1] - counts[0] - 1


def count_questions(peers: list[Peer], statements: int, deltas: int) -> str:
    """The questions of each, in words."""
    found = []
    for peer in peers:
        peer.empty()
        asked = questions(peer.server, peer.run)
        found.append(f"{peer.name} {asked} ({(asked - statements) / deltas:.2f} a delta beyond its own statements)")
    return f"Questions to the server for {deltas} deltas of {statements} statements: {'; '.join(found)}."


def peak(engine: Engine) -> float:
    """Mebibytes that a process needs at most that applies all deltas to an empty database."""
    engine.empty()
    path = {**os.environ, "PYTHONPATH": f"{COLLECTIONS}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", PEAK], input=json.dumps(engine.params), capture_output=True, text=True, check=True,
        env=path,
    )  # fmt: skip
    return float(done.stdout)


def measure(table: Table, label: str, server: MariaDB, folder: Path, size: int) -> list[Peer]:
    """Time all that can apply so many deltas."""
    peers = contestants(folder / str(size), server, generate(size))
    slow = [peer.name for peer in peers if size >= peer.once_from]
    table.measure(f"{size} deltas, {label}", {peer.name: applies(peer) for peer in peers}, rounds=3, once=slow)
    return peers


def measure_across(table: Table, label: str, server: MariaDB, folder: Path, size: int) -> None:
    """Time the quick ones as from another host."""
    table.remarks.append(remark())
    far = copy.copy(server)
    with delayed("127.0.0.1", server.port) as far.port:
        peers = contestants(folder / "far", far, generate(size), (Raw, Engine, *QUICK))
        table.measure(f"{size} deltas, {label}", {peer.name: applies(peer) for peer in peers}, rounds=3)
