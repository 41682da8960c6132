# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MariaDB server of Debian's package, with a root user and a password of its own."""

from __future__ import annotations

import secrets
import subprocess
from typing import Any

import pymysql

from tests.support.servers.base import Server


class MariaDB(Server):
    """``with MariaDB() as server: server.query("SELECT 1")``; ``durable`` keeps fsync on."""

    name = "mariadb"

    def __init__(self, *options: str, durable: bool = False) -> None:
        super().__init__()
        self.options = options
        self.durable = durable
        self.password = secrets.token_urlsafe(12)

    def prepare(self) -> None:
        (self.folder / "init.sql").write_text(
            f"CREATE OR REPLACE USER 'root'@'127.0.0.1' IDENTIFIED BY '{self.password}';\n"
            "GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n"
            f"SET PASSWORD FOR 'root'@'localhost' = PASSWORD('{self.password}');\n"
        )
        subprocess.run(
            [
                "mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={self.folder / 'data'}",
                "--skip-test-db", "--auth-root-authentication-method=normal", "--innodb-log-file-size=8M",
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip

    def command(self) -> list[str]:
        durability = [] if self.durable else ["--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0"]
        return [
            "mariadbd", "--no-defaults", "--user=mysql", f"--datadir={self.folder / 'data'}",
            f"--socket={self.socket}", f"--port={self.port}", "--bind-address=127.0.0.1",
            f"--pid-file={self.folder / 'data' / 'mariadbd.pid'}",
            f"--init-file={self.folder / 'init.sql'}", "--skip-name-resolve",
            "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=8M", "--performance-schema=off",
            *durability, *self.options,
        ]  # fmt: skip

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

    def ready(self) -> bool:
        try:
            self.connect().close()
        except pymysql.err.OperationalError:
            return False
        return True
