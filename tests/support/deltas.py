# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of deltas and the database that they are for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible_collections.lamp.cluster.plugins.module_utils import _mysql

from tests.support.modules import COLLECTIONS, ModuleResult, run_module
from tests.support.servers.sql import SqlServer

TABLE = "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(20)) ENGINE=InnoDB;\n"


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


def connect(server: SqlServer, database: str, **options: Any) -> Any:
    """A connection as the module makes it, as root, over the socket, which needs no TLS."""
    defaults = {name: option.get("default") for name, option in _mysql.MYSQL_ARGUMENTS.options.items()}
    return _mysql.connect(
        {**defaults, **server.login, "login_unix_socket": server.socket, "login_db": database}, **options
    )


def answer(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What a module that was started says at its end."""
    assert process.stdout
    return dict(json.loads(process.stdout.read()))


def names(deltas: list[dict[str, Any]]) -> list[str]:
    """The file names in one of the module's lists."""
    return [delta["name"] for delta in deltas]
