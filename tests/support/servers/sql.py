# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all SQL servers of the tests have in common: root's login over TCP, queries, the command-line client."""

from __future__ import annotations

import secrets
import subprocess
from typing import Any

import pymysql

from tests.support.servers.base import Server


class SqlServer(Server):
    """Base of the SQL servers: ``server.query("SELECT 1")``; subclasses give the command and the data."""

    def __init__(self) -> None:
        super().__init__()
        self.password = secrets.token_urlsafe(12)
        # Not /tmp: a server that starts removes the temporary tables of all others from there.
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()
        self.temporary.chmod(0o1777)

    @property
    def socket(self) -> str:
        """Path of the Unix socket."""
        return str(self.folder / "data" / "mysqld.sock")

    @property
    def login(self) -> dict[str, Any]:
        """The module options that log in as root over TCP."""
        return {
            "login_host": "127.0.0.1", "login_port": self.port, "login_user": "root", "login_password": self.password,
        }  # fmt: skip

    def connect(self, database: str | None = None, **options: Any) -> pymysql.Connection[Any]:
        """A connection as root, autocommit unless told otherwise."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", password=self.password, database=database,
            **{"autocommit": True, "charset": "utf8mb4", **options},
        )  # fmt: skip

    def query(self, sql: str, arguments: tuple[Any, ...] = (), database: str | None = None) -> list[tuple[Any, ...]]:
        """The rows that one statement gives."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            return list(cursor.fetchall() or ())

    def client(self, script: str, database: str) -> subprocess.CompletedProcess[str]:
        """Run ``script`` through the ``mariadb`` command-line client."""
        return subprocess.run(
            ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{self.port}", "-uroot", database],
            input=script,
            capture_output=True,
            text=True,
            check=False,
            env={"MYSQL_PWD": self.password, "PATH": "/usr/bin:/bin"},
        )

    def dump(self, database: str, *tables: str, options: tuple[str, ...] = ()) -> str:
        """What ``mariadb-dump`` writes of ``database``, the same for the same content."""
        return subprocess.run(
            [
                "mariadb-dump", "--no-defaults", "-h127.0.0.1", f"-P{self.port}", "-uroot", "--skip-comments",
                "--routines", "--triggers", "--events", "--order-by-primary", *options, database, *tables,
            ],
            capture_output=True, text=True, check=True, env={"MYSQL_PWD": self.password, "PATH": "/usr/bin:/bin"},
        ).stdout  # fmt: skip

    def ready(self) -> bool:
        self.connect().close()
        return True
