# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deltas: applying them, and finding nothing to do."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.options import ARGUMENTS
from ansible_collections.lamp.cluster.plugins.modules import dbdeploy

from tests.benchmark.peers import PEERS, Deltas, Peer, Raw, generate, installed, versions
from tests.benchmark.table import Headline, Table, Timed
from tests.support.modules import run_ansible, run_module
from tests.support.servers.mariadb import MariaDB

SIZES = (10, 100, 1000)
OTHERS = tuple(peer.name for peer in PEERS if max(SIZES) in peer.sizes)
HEADLINES = (
    Headline(
        f"{max(SIZES)} deltas applied, the module's own work; *mariadb* runs one script and records nothing",
        f"{max(SIZES)} deltas, fsync on", "engine", (Raw.name, *OTHERS),
    ),
    Headline(f"{max(SIZES)} deltas, nothing to do", f"nothing to do at {max(SIZES)} deltas", "engine", OTHERS),
)  # fmt: skip
REMARKS = (
    "Every fourth delta makes a table and puts a row into it, the others add a row: 1250 statements in 1000 deltas. The"
    " floor is the client with all statements in one script, which records nothing.",
    "The *engine* is the module's work from reading the folder to its answer, connection included; the *process* is the"
    " module as Ansible starts it on a host; the *task* is a whole `ansible` command, action plugin, its own start and"
    " all. The other tools are timed as commands, as their users run them.",
    "*fsync neutralised* is `innodb_flush_log_at_trx_commit=0`; *fsync on* is the server's default. yoyo is measured up"
    " to 100 deltas: its time grows with the square of their number.",
)


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

    def run(self) -> None:
        defaults = {name: option.get("default") for name, option in ARGUMENTS.options.items()}
        module = SimpleNamespace(params={**defaults, **self.options}, check_mode=False, _diff=False, warn=print)
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


def contestants(kinds: tuple[type[Peer], ...], folder: Path, server: MariaDB, deltas: Deltas) -> list[Peer]:
    """Those of ``kinds`` that can be had with so many deltas, with their files."""
    found = []
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


def bench(table: Table) -> None:
    """Measure all sizes on both servers, then a run that finds nothing to do."""
    installed()
    table.remarks.extend([*REMARKS, versions()])
    kinds: tuple[type[Peer], ...] = (Raw, Engine, Process, Task, *PEERS)
    with tempfile.TemporaryDirectory() as name, MariaDB() as fast, MariaDB(durable=True) as durable:
        for label, server in (("fsync neutralised", fast), ("fsync on", durable)):
            for size in SIZES:
                deltas = generate(size)
                peers = contestants(kinds, Path(name) / f"{label} {size}", server, deltas)
                timed = {peer.name: applies(peer) for peer in peers}
                table.measure(f"{size} deltas, {label}", timed, rounds=3)
                if server is fast and size == max(SIZES):
                    counted = [peer for peer in peers if not isinstance(peer, (Process, Task))]
                    table.remarks.append(count_questions(counted, sum(map(len, deltas)), size))
                    again = {peer.name: peer.run for peer in peers if not isinstance(peer, Raw)}
                    table.measure(f"nothing to do at {size} deltas", again, rounds=3)
