# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Oracle's MySQL 9, which Debian has in its unstable suite: a single server, and a Group Replication of three.

The packages are unpacked under .cache and run in place by the dynamic loader they bring along; nothing is installed.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Self

import pymysql

from tests.support.debian import unpacked
from tests.support.servers.base import free_port, wait_until
from tests.support.servers.sql import SqlServer

CACHE = Path(__file__).resolve().parents[3] / ".cache" / "mysql"
PACKAGES = ("mysql-server-core", "mysql-client-core")
KEPT = (
    "lib/x86_64-linux-gnu/*.so*",
    "lib/aarch64-linux-gnu/*.so*",
    "lib/mysql/*",
    "sbin/mysqld",
    "bin/mysql",
    "bin/mysqldump",
    "share/mysql*",
)
SMALL = (
    "--innodb-buffer-pool-size=64M", "--innodb-redo-log-capacity=16M", "--performance-schema-max-table-instances=200",
    "--table-open-cache=200", "--max-connections=60", "--mysqlx=OFF",
)  # fmt: skip


@cache
def root() -> Path:
    """The folder of the unpacked packages (its ``usr``), made at the first call on a machine."""
    return unpacked(CACHE, "unstable", PACKAGES, KEPT)


def program(name: str) -> list[str]:
    """The beginning of the command line of one of the unpacked programs."""
    libraries = next(root().glob("lib/*-linux-gnu"))
    loader = next(libraries.glob("ld-linux-*.so.*"))
    return [str(loader), "--library-path", f"{libraries}:{root() / 'lib' / 'mysql' / 'private'}", str(root() / name)]


class MySQL(SqlServer):
    """``with MySQL() as server``; root logs in by caching_sha2_password, over TLS or not."""

    name = "mysql"

    def __init__(self, *options: str) -> None:
        super().__init__()
        self.options = options

    def prepare(self) -> None:
        (self.folder / "init.sql").write_text(
            "SET SESSION sql_log_bin = 0;\n"
            f"CREATE USER IF NOT EXISTS 'root'@'127.0.0.1' IDENTIFIED BY '{self.password}';\n"
            "GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n"
            f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{self.password}';\n"
        )
        shutil.chown(self.folder, "mysql")
        template = root().with_suffix(".data")
        with (CACHE / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not template.exists():
                self._initialise(template)
        subprocess.run(["cp", "-a", "--reflink=auto", str(template), str(self.folder / "data")], check=True)

    def _initialise(self, template: Path) -> None:
        fresh = self.folder / "fresh"
        subprocess.run(
            [*self._mysqld(fresh), "--initialize-insecure", *SMALL], check=True, capture_output=True, timeout=120
        )
        (fresh / "auto.cnf").unlink()  # each server finds a uuid of its own
        subprocess.run(["cp", "-a", str(fresh), str(template.with_suffix(".part"))], check=True)
        template.with_suffix(".part").rename(template)
        shutil.rmtree(fresh)

    def _mysqld(self, data: Path) -> list[str]:
        return [
            *program("sbin/mysqld"), "--no-defaults", "--user=mysql", f"--basedir={root()}", f"--datadir={data}",
            f"--tmpdir={self.temporary}",
            f"--lc-messages-dir={root() / 'share' / 'mysql'}", f"--plugin-dir={root() / 'lib' / 'mysql' / 'plugin'}",
        ]  # fmt: skip

    def command(self) -> list[str]:
        return [
            *self._mysqld(self.folder / "data"), f"--socket={self.socket}", f"--port={self.port}",
            "--bind-address=127.0.0.1", "--secure-file-priv=", f"--pid-file={self.folder / 'data' / 'mysqld.pid'}",
            f"--init-file={self.folder / 'init.sql'}", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0",
            "--sync-binlog=0", *SMALL, *self.options,
        ]  # fmt: skip

    def sees(self, size: int) -> bool:
        """Whether it is in a group of which so many members are ONLINE."""
        members = "SELECT COUNT(*) FROM performance_schema.replication_group_members WHERE MEMBER_STATE = 'ONLINE'"
        return self.query(members) == [(size,)]


class Group:
    """``with Group() as group``: three servers of one Group Replication; ``group.primary`` takes the writes."""

    def __init__(self, size: int = 3) -> None:
        ports = [free_port() for _ in range(size)]
        common = (
            "--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--plugin-load-add=group_replication.so",
            f"--loose-group-replication-group-name={uuid.uuid4()}", "--loose-group-replication-start-on-boot=OFF",
            "--loose-group-replication-ip-allowlist=127.0.0.1/8",
            "--loose-group-replication-recovery-get-public-key=ON",
            f"--loose-group-replication-group-seeds={','.join(f'127.0.0.1:{port}' for port in ports)}",
            "--report-host=127.0.0.1",
        )  # fmt: skip
        self.nodes: list[MySQL] = []
        for number, port in enumerate(ports, 1):
            node = MySQL(*common, f"--server-id={number}", f"--loose-group-replication-local-address=127.0.0.1:{port}")
            node.password = self.nodes[0].password if self.nodes else node.password
            node.options += (f"--report-port={node.port}",)
            self.nodes.append(node)

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.__enter__()
                self.join(node, bootstrap=node is self.nodes[0])
            self.wait_for(len(self.nodes))
        except BaseException:
            self.__exit__()
            raise
        return self

    def join(self, node: MySQL, *, bootstrap: bool = False) -> None:
        """Make a running server a member."""
        node.query(
            "CHANGE REPLICATION SOURCE TO SOURCE_USER='root', SOURCE_PASSWORD=%s"
            " FOR CHANNEL 'group_replication_recovery'",
            (node.password,),
        )
        node.query(f"SET GLOBAL group_replication_bootstrap_group={int(bootstrap)}")
        node.query("START GROUP_REPLICATION")
        node.query("SET GLOBAL group_replication_bootstrap_group=0")

    def wait_for(self, size: int) -> None:
        """Return once every running server sees ``size`` members ONLINE."""
        for node in self.nodes:
            if node.process:
                wait_until(partial(node.sees, size), "the group replication")

    @contextmanager
    def multi_primary(self) -> Iterator[list[MySQL]]:
        """All members take writes, and one alone again afterwards."""
        uuid_of_first = self.nodes[0].query("SELECT @@server_uuid")[0][0]
        self.nodes[0].query("SELECT group_replication_switch_to_multi_primary_mode()")
        try:
            yield self.nodes
        finally:
            self.nodes[0].query("SELECT group_replication_switch_to_single_primary_mode(%s)", (uuid_of_first,))

    @property
    def primary(self) -> MySQL:
        """The server that takes the writes."""
        for node in self.nodes:
            if node.process:
                rows = node.query(
                    "SELECT MEMBER_PORT FROM performance_schema.replication_group_members WHERE MEMBER_ROLE = 'PRIMARY'"
                )
                return next(other for other in self.nodes if rows and other.port == rows[0][0])
        raise pymysql.err.OperationalError(2003, "no server of the group runs")

    def __exit__(self, *_exception: object) -> None:
        for node in self.nodes:
            node.__exit__()
