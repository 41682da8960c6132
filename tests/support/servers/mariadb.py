# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MariaDB server of Debian's package, with a root user and a password of its own."""

from __future__ import annotations

import subprocess

from tests.support.servers.sql import SqlServer


class MariaDB(SqlServer):
    """``with MariaDB() as server: server.query("SELECT 1")``; ``durable`` keeps fsync on."""

    name = "mariadb"

    def __init__(self, *options: str, durable: bool = False) -> None:
        super().__init__()
        self.options = options
        self.durable = durable

    def prepare(self) -> None:
        (self.folder / "init.sql").write_text(
            "SET SESSION sql_log_bin = 0;\n"
            f"CREATE OR REPLACE USER 'root'@'127.0.0.1' IDENTIFIED BY '{self.password}';\n"
            "GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n"
            f"SET PASSWORD FOR 'root'@'localhost' = PASSWORD('{self.password}');\n"
        )
        subprocess.run(
            [
                "mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={self.folder / 'data'}",
                f"--tmpdir={self.temporary}", "--skip-test-db",
                "--auth-root-authentication-method=normal", "--innodb-log-file-size=8M",
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip

    def command(self) -> list[str]:
        durability = [] if self.durable else ["--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0"]
        return [
            "mariadbd", "--no-defaults", "--user=mysql", f"--datadir={self.folder / 'data'}",
            f"--tmpdir={self.temporary}", f"--socket={self.socket}", f"--port={self.port}", "--bind-address=127.0.0.1",
            f"--pid-file={self.folder / 'data' / 'mariadbd.pid'}",
            f"--init-file={self.folder / 'init.sql'}", "--skip-name-resolve",
            "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=8M", "--performance-schema=off",
            *durability, *self.options,
        ]  # fmt: skip
