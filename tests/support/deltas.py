# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of deltas and its database; runs as Ansible makes them, in this process, or in one to be killed."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from ansible_collections.lamp.cluster.plugins.module_utils import _mysql
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.lock import RowLock
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.options import ARGUMENTS
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.modules.dbdeploy import dbdeploy

from tests.support.modules import COLLECTIONS, ModuleResult, run_module
from tests.support.servers.base import wait_until
from tests.support.servers.sql import SqlServer

TABLE = "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(20)) ENGINE=InnoDB;\n"
DEFAULTS: dict[str, Any] = {name: option.get("default") for name, option in ARGUMENTS.options.items()}


class Folder:
    """``folder.write(_1_x="…")`` writes ``1_x.sql``; ``folder.run()`` applies what is pending."""

    def __init__(self, path: Path, server: SqlServer, database: str) -> None:
        self.path = path
        self.server = server
        self.database = database

    def write(self, **deltas: str) -> None:
        """``_1_x="…"`` writes ``1_x.sql``."""
        for name, text in deltas.items():
            (self.path / f"{name.lstrip('_')}.sql").write_text(text)

    def arguments(self, **options: Any) -> dict[str, Any]:
        """The module's options: this folder, this database, this server, and those given."""
        return {"src": str(self.path), "login_db": self.database, **self.server.login, **options}

    def run(self, *, check: bool = False, diff: bool = False, **options: Any) -> ModuleResult:
        """What the module answers."""
        return run_module("dbdeploy", self.arguments(**options), check=check, diff=diff)

    def here(self, *, check: bool = False, diff: bool = False, **options: Any) -> dict[str, Any]:
        """The same in this process, without Ansible around it."""
        params = {**DEFAULTS, **self.arguments(**options)}
        module: Any = SimpleNamespace(params=params, check_mode=check, _diff=diff, warn=[].append)
        try:
            return dbdeploy(module)
        except LampError as error:
            return {"failed": True, "changed": False, **error.as_result()}

    def victim(self, **options: Any) -> Victim:
        """``here`` in a process of its own, for something to happen to."""
        return Victim(self, options)

    def start(self, **options: Any) -> subprocess.Popen[bytes]:
        """The module as a process that runs; ``answer`` waits for its end."""
        process = subprocess.Popen(
            [sys.executable, "-m", "ansible_collections.lamp.cluster.plugins.modules.dbdeploy"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=COLLECTIONS, start_new_session=True,
        )  # fmt: skip
        assert process.stdin
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": self.arguments(**options)}).encode())
        process.stdin.close()
        return process

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What one statement gives."""
        return self.server.query(sql, database=self.database)

    def applied(self) -> list[int]:
        """The numbers in the changelog."""
        return [row[0] for row in self.rows("SELECT change_number FROM changelog ORDER BY 1")]


class Victim:
    """A run that something happens to."""

    def __init__(self, folder: Folder, options: dict[str, Any]) -> None:
        context = multiprocessing.get_context("fork")
        self.folder = folder
        self.answers, child = context.Pipe(duplex=False)
        self.process = context.Process(target=self._run, args=(child, options), daemon=True)
        self.process.start()
        child.close()

    def _run(self, answers: Connection, options: dict[str, Any]) -> None:
        answers.send(self.folder.here(**options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()

    def waits_at(self, begin: str) -> int:
        """Wait until the server holds a statement that begins so. Returns the id of its connection."""
        found: list[tuple[Any, ...]] = []
        with self.folder.server.connect() as connection, connection.cursor() as cursor:

            def holds() -> bool:
                if not self.process.is_alive():
                    said = self.answers.recv() if self.answers.poll() else "nothing"
                    raise AssertionError(f"the run ended before {begin!r}, and said {said}")
                cursor.execute(
                    "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = %s AND INFO LIKE %s AND TIME_MS > 20"
                    " AND ID <> CONNECTION_ID()",
                    (self.folder.database, f"{begin}%"),
                )
                found[:] = cursor.fetchall()
                return bool(found)

            wait_until(holds, f"the run at {begin!r}")
        return int(found[0][0])

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.join()

    def result(self) -> dict[str, Any]:
        """What it answered."""
        answer: dict[str, Any] = self.answers.recv()
        self.process.join()
        return answer


def connect(server: SqlServer, database: str, **options: Any) -> Any:
    """A connection as the module makes it, as root, over the socket, which needs no TLS."""
    return _mysql.connect(
        {**DEFAULTS, **server.login, "login_unix_socket": server.socket, "login_db": database}, **options
    )


def answer(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What a module that was started says at its end."""
    assert process.stdout
    return dict(json.loads(process.stdout.read()))


def names(deltas: list[dict[str, Any]]) -> list[str]:
    """The file names in one of the module's lists."""
    return [delta["name"] for delta in deltas]


def races(lock_of: Callable[[int], RowLock]) -> Iterator[RowLock]:
    """Two runners, 0 and 1, ask for the lock at once, again and again; the only winner of each race, who freed it."""
    start = threading.Barrier(2)

    def run(number: int) -> RowLock | None:
        lock = lock_of(number)
        start.wait()
        try:
            lock.take(0)
        except LampError as error:
            assert error.code == "dbdeploy_locked"
            return None
        return lock

    with ThreadPoolExecutor(2) as pool:
        while True:
            winners = [lock for lock in pool.map(run, (0, 1)) if lock]
            assert len(winners) == 1
            winners[0].check()
            winners[0].free()
            yield winners[0]
