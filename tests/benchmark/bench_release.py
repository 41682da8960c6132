# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases: a release of 200 files on a host, by the tasks of a deploy and by hand.

A line of tasks is one play on this machine, without its start-up.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.artifact import Options, make

from tests.benchmark.table import Headline, Table
from tests.support.modules import BIN, COLLECTIONS

FILES, SIZE, ROUNDS = 200, 4_000, 5
LINE = f"stage {FILES} files and switch"
OURS, BY_HAND = "lamp.cluster.release, one file changed", "file, unarchive, file (no shared paths, proof, or check)"
HEADLINES = (Headline(f"A release of {FILES} files staged on a host and made live", LINE, OURS, (BY_HAND,)),)
Task = dict[str, Any]


def play(folder: Path, tasks: list[Task]) -> float:
    """The seconds of a play with these tasks on localhost, all of it."""
    playbook = folder / "play.yml"
    playbook.write_text("---\n" + yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    environment = {
        **os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }  # fmt: skip
    begin = time.perf_counter()
    done = subprocess.run(
        [str(BIN / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(playbook)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return time.perf_counter() - begin


class Application:
    """A folder of files of which each version differs in one, and the tasks that deploy it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "source"
        self.source.mkdir()
        for number in range(FILES):
            (self.source / f"{number}.php").write_bytes(os.urandom(SIZE))
        self.version = 0
        self.made: dict[str, Any] = {}

    def change(self) -> None:
        """The next version."""
        self.version += 1
        (self.source / "0.php").write_bytes(os.urandom(SIZE))
        self.made = make(Options(str(self.source), str(self.folder / "cache")))

    def task(self, state: str) -> Task:
        """The module that stages the version or switches to it."""
        given = {"path": str(self.folder / "app"), "state": state, "release": self.made["release"]}
        owners = {"writable_owner": "root", "writable_group": "root"}
        return {"lamp.cluster.release": {**given, **owners, "artifact": self.made["archive"]}}

    def by_hand(self) -> list[Task]:
        """What one would write without the module."""
        target = f"{self.folder}/hand/{self.version}"
        return [
            {"ansible.builtin.file": {"path": target, "state": "directory"}},
            {"ansible.builtin.unarchive": {"src": self.made["archive"], "dest": target}},
            {"ansible.builtin.file": {"src": target, "path": f"{self.folder}/hand/current", "state": "link"}},
        ]


def bench(table: Table) -> None:
    """One ping, then a whole release, one with a changed file, none, each against it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        application = Application(folder)
        application.change()
        start = min(play(folder, []) for _ in range(ROUNDS))

        def ping() -> float:
            return (play(folder, [{"ansible.builtin.ping": None}] * 4) - start) / 4

        def deployed(change: bool) -> float:
            if change:
                application.change()
            return play(folder, [application.task("staged"), application.task("active")]) - start

        def by_hand() -> float:
            application.change()
            return play(folder, application.by_hand()) - start

        deployed(change=False)
        table.measure(
            LINE,
            {
                "one ping": ping,
                OURS: partial(deployed, change=True),
                "lamp.cluster.release, nothing to do": partial(deployed, change=False),
                BY_HAND: by_hand,
            },
            rounds=ROUNDS,
        )
