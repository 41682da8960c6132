# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One runner at a time, on any server that the delta set can be reached through."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._mysql import Connection, quote_identifier

DUPLICATE, DEADLOCK = 1062, 1213
EXPIRY = 20  # seconds that a lock row outlives the last sign of life of its holder
BEAT = 4  # seconds between signs of life

ROW = """CREATE TABLE IF NOT EXISTS {table} (
  id INT NOT NULL PRIMARY KEY,
  token CHAR(32) NOT NULL,
  holder VARCHAR(200) NOT NULL,
  expires_at DATETIME NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"""


def _held(holder: str, waited: float) -> LampError:
    return LampError(
        "dbdeploy_locked",
        f"Another runner applies deltas to this database: {holder} (waited {waited:.0f} s).",
        "Wait until it is done, then run the same command again.",
    )


class NamedLock:
    """GET_LOCK: ends with the connection, excludes on a single server."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection = connection
        self.name = name

    def take(self, timeout: float) -> None:
        """:raises LampError: ``dbdeploy_locked`` after ``timeout`` seconds, naming the holder"""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT GET_LOCK(%s, %s)", (self.name, timeout))
            if cursor.fetchone()[0] == 1:
                return
            cursor.execute(
                "SELECT CONCAT(USER, '@', HOST, ' (connection ', ID, ')') FROM information_schema.PROCESSLIST"
                " WHERE ID = IS_USED_LOCK(%s)",
                (self.name,),
            )
            row = cursor.fetchone()
        raise _held(row[0] if row else "its connection is not shown to this user", timeout)

    def check(self) -> None:
        """Nothing: the lock is lost only with the connection."""

    def free(self) -> None:
        """Give the lock back."""
        with self.connection.cursor() as cursor:
            cursor.execute("DO RELEASE_LOCK(%s)", (self.name,))


class RowLock:
    """A row with a primary key: excludes on every node of a cluster.

    A heartbeat over a connection of its own keeps it alive.
    """

    def __init__(self, connect: t.Callable[[], Connection], table: str) -> None:
        self.connection = connect()
        self.table = quote_identifier(table)
        self.token = secrets.token_hex(16)
        self.holder = f"process {os.getpid()} on {socket.gethostname()}"
        self.stopping = threading.Event()
        self.lost = False
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def take(self, timeout: float) -> None:
        """:raises LampError: ``dbdeploy_locked`` after ``timeout`` seconds, naming the holder"""
        self._run(ROW.format(table=self.table))
        started = time.monotonic()
        while not self._try():
            waited = time.monotonic() - started
            if waited >= timeout:
                rows = self._run(f"SELECT holder FROM {self.table} WHERE id = 1", fetch=True)
                raise _held(rows[0][0] if rows else "a runner that has just ended", waited)
            time.sleep(0.2)
        self.thread.start()

    def check(self) -> None:
        """:raises LampError: ``dbdeploy_lock_lost`` when somebody else may have taken over"""
        if self.lost:
            raise LampError(
                "dbdeploy_lock_lost",
                "The lock on this database was lost: the connection that kept it alive failed.",
                "Run the same command again; it resumes.",
            )

    def free(self) -> None:
        """Give the lock back."""
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join()
        if not self.lost:
            self._run(f"DELETE FROM {self.table} WHERE id = 1 AND token = %s", (self.token,))
        self.connection.close()

    def _try(self) -> bool:
        try:
            taken = self._change(
                f"INSERT INTO {self.table} VALUES (1, %s, %s, UTC_TIMESTAMP() + INTERVAL {EXPIRY} SECOND)",
                (self.token, self.holder),
            )
        except Exception as error:
            if not error.args or error.args[0] not in (DUPLICATE, DEADLOCK):
                raise
            taken = 0
        return bool(taken or self._take_over())

    def _take_over(self) -> int:
        """Take a row whose holder has shown no sign of life."""
        try:
            return self._change(
                f"UPDATE {self.table} SET token = %s, holder = %s,"
                f" expires_at = UTC_TIMESTAMP() + INTERVAL {EXPIRY} SECOND"
                " WHERE id = 1 AND expires_at < UTC_TIMESTAMP()",
                (self.token, self.holder),
            )
        except Exception as error:
            if error.args and error.args[0] == DEADLOCK:
                return 0
            raise

    def _beat(self) -> None:
        while not self.stopping.wait(BEAT):
            try:
                kept = self._change(
                    f"UPDATE {self.table} SET expires_at = UTC_TIMESTAMP() + INTERVAL {EXPIRY} SECOND"
                    " WHERE id = 1 AND token = %s",
                    (self.token,),
                )
            except Exception:
                kept = 0
            if not kept:
                self.lost = True
                return

    def _change(self, sql: str, values: tuple[t.Any, ...]) -> int:
        with self.connection.cursor() as cursor:
            return int(cursor.execute(sql, values))

    def _run(self, sql: str, values: tuple[t.Any, ...] = (), fetch: bool = False) -> list[tuple[t.Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return list(cursor.fetchall()) if fetch else []
