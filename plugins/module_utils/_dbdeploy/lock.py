# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One runner at a time, on any server that the delta set can be reached through.

A single server has GET_LOCK, which ends with the connection. A cluster has a row with a primary key, which excludes on
every node. Whether the holder of a row is dead is told in two ways:

- On the holder's own node exactly: the connection that it works over also holds a GET_LOCK, and while that is held a
  statement of the holder may still run.
- From other nodes by silence: the holder's heartbeat changes the row. No clocks are compared; the one who waits
  measures the silence. Heartbeats that are held up, as by an ALTER that keeps the cluster from writing, are in front of
  the taking over in the cluster's total order, which therefore fails. The holder's own node may take longer for the
  holder's own ALTER than the others do: while the records say that such a statement runs, silence is no proof.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import secrets
import socket
import threading
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._mysql import (
    CONFLICTS,
    LOCK_WAIT,
    NO_TABLE,
    Connection,
    query,
    quote_identifier,
)

DUPLICATE = 1062
LONGEST_NAME = 64  # characters of a name that GET_LOCK takes
WORK = ".work"  # ends the name of the lock that goes along when the work goes on over another connection
MOVE = 30  # seconds to wait until the server has noticed that the last working connection was closed
BEAT = 4  # seconds between signs of life
STALE = 2 * BEAT  # seconds after which the holder does not trust its last sign of life any more
SILENCE = 3 * BEAT  # seconds without a sign of life after which a holder on another node counts as dead
LOOK = 0.2  # seconds between two looks at a row that is held
PATIENCE = 5  # seconds that a look at the lock, or an attempt to take it, may itself be held up

ROW = """CREATE TABLE IF NOT EXISTS {table} (
  id INT NOT NULL PRIMARY KEY,
  token CHAR(32) NOT NULL,
  holder VARCHAR(300) NOT NULL,
  node VARCHAR(64) NOT NULL,
  beat BIGINT NOT NULL,
  since DATETIME NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"""
NODE = {
    "galera": "SHOW GLOBAL STATUS LIKE 'wsrep_gcomm_uuid'",
    "group_replication": "SHOW GLOBAL VARIABLES LIKE 'server_uuid'",
}


def _held(holder: str, waited: float, silent: float = 0) -> LampError:
    """``silent``: the seconds since its last sign of life, of one that is not known to be dead all the same."""
    next_step = "Wait until it is done, then run the same command again."
    if silent >= SILENCE:
        next_step = (
            f"It has given no sign of life for {silent:.0f} s, and began a statement of which nobody knows the end. If"
            " it is dead, run again over its own node, or look at the database and decide by on_unknown=skip or retry."
        )
    return LampError(
        "dbdeploy_locked",
        f"Another runner applies deltas to this database: {holder} (waited {waited:.0f} s).",
        next_step,
        lock_holder=holder,
    )


def _number(error: Exception) -> int:
    """The server's number for what PyMySQL raised; 0 for what came from elsewhere."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def _change(connection: Connection, sql: str, values: tuple[t.Any, ...]) -> int:
    """How many rows a statement changed."""
    with connection.cursor() as cursor:
        return int(cursor.execute(sql, values or None))


def _process() -> str:
    """This process, in words."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"process {os.getpid()} of {user} on {socket.gethostname()}"


def _move(connection: Connection, name: str) -> None:
    """Hold the lock of the work over ``connection``."""
    if query(connection, "SELECT GET_LOCK(%s, %s)", (name, MOVE))[0][0] != 1:
        raise _held("one that this run closed and the server did not", MOVE)


class NamedLock:
    """GET_LOCK: ends with the connection, excludes on a single server.

    A second one is held by whichever connection the work goes over: the first ends with the process that holds it,
    although the server may still be at its last statement.
    """

    def __init__(self, connection: Connection, table: str) -> None:
        self.connection = self.working = connection
        database = query(connection, "SELECT DATABASE()")[0][0]
        name = f"lamp.dbdeploy.{database}.{table}"
        if len(name) > LONGEST_NAME - len(WORK):
            name = "lamp.dbdeploy." + hashlib.sha256(name.encode()).hexdigest()[:40]
        self.name = name

    def take(self, timeout: float) -> None:
        """:raises LampError: ``dbdeploy_locked`` after ``timeout`` seconds, naming the holder"""
        for name in (self.name, self.name + WORK):
            if query(self.connection, "SELECT GET_LOCK(%s, %s)", (name, timeout))[0][0] != 1:
                raise _held(self._holder(name), timeout)

    def _holder(self, name: str) -> str:
        row = query(
            self.connection,
            "SELECT CONCAT(USER, '@', HOST, ' (connection ', ID, ', its last command ', TIME, ' s ago)')"
            " FROM information_schema.PROCESSLIST WHERE ID = IS_USED_LOCK(%s)",
            (name,),
        )
        return str(row[0][0]) if row else "its connection is not shown to this user"

    def moved(self, connection: Connection) -> None:
        """The work goes on over another connection."""
        if self.working is self.connection:
            query(self.connection, "DO RELEASE_LOCK(%s)", (self.name + WORK,))
        self.working = connection
        _move(connection, self.name + WORK)

    def check(self) -> None:
        """Nothing: the lock is lost only with the connection."""

    def free(self) -> None:
        """Give the lock back; it is free already where the connection has ended."""
        with contextlib.suppress(Exception):
            query(self.connection, "DO RELEASE_LOCK(%s), RELEASE_LOCK(%s)", (self.name, self.name + WORK))


class Seen:
    """The row of a lock as somebody who waits for it saw it."""

    def __init__(self, row: tuple[t.Any, ...]) -> None:
        self.token, self.holder, self.node, self.beat, self.since = row

    @property
    def life(self) -> tuple[str, int]:
        """What a sign of life changes."""
        return self.token, self.beat

    def __str__(self) -> str:
        return f"{self.holder}, since {self.since} UTC"


class RowLock:
    """A row with a primary key, for the clusters.

    ``connection`` is the one that the deltas run over, ``connect`` makes further ones (autocommit, to the same server),
    ``table`` is the changelog's name, ``cluster`` the flavour's. ``heed_running`` is given up where the user decided
    what is to become of a statement that was cut off.
    """

    def __init__(
        self,
        connection: Connection,
        connect: t.Callable[..., Connection],
        table: str,
        cluster: str,
        heed_running: bool = True,
    ) -> None:
        self.connection = connection
        self.connect = connect
        self.table = quote_identifier(f"{table}_lock")
        self.state = quote_identifier(f"{table}_state")
        self.cluster = cluster
        self.heed_running = heed_running
        self.token = secrets.token_hex(16)
        self.stopping = threading.Event()
        self.beating = threading.Lock()
        self.heart: Connection | None = None
        self.last = 0.0  # when the last sign of life that arrived was sent
        self.lost = False
        self.thread = threading.Thread(target=self._live, daemon=True)

    def take(self, timeout: float) -> None:
        """:raises LampError: ``dbdeploy_locked`` after ``timeout`` seconds, naming the holder"""
        user, number = query(self.connection, "SELECT CURRENT_USER(), CONNECTION_ID()")[0]
        own = (f"{user} (connection {number}), {_process()}", self._witness())
        started = time.monotonic()
        watch, silent_since, before = self._watch(), started, None
        try:
            while True:
                seen = self._see(watch)
                if not seen and self._insert(watch, own):
                    break
                if seen and seen.token == self.token:
                    break  # an earlier attempt got through although its answer did not
                now = time.monotonic()
                if seen and (before is None or seen.life != before):
                    before, silent_since = seen.life, now
                if seen and self._is_dead(watch, seen, now - silent_since) and self._take_over(watch, seen, own):
                    break
                if now - started >= timeout:
                    here = seen and seen.node and seen.node == own[1]
                    silent = now - silent_since if seen and not here else 0
                    raise _held(str(seen) if seen else "a runner that has just ended", now - started, silent)
                if not watch.open:
                    watch = self._watch()
                time.sleep(LOOK)
        finally:
            _close(watch)
        self.last = time.monotonic()
        self.thread.start()

    def check(self) -> None:
        """:raises LampError: ``dbdeploy_lock_lost`` when somebody else may have taken over"""
        if time.monotonic() - self.last > STALE:
            self._beat()
        if self.lost or time.monotonic() - self.last > STALE:
            raise LampError(
                "dbdeploy_lock_lost",
                "The lock on this database was lost: its sign of life could not be given for too long.",
                "Run the same command again; it resumes.",
            )

    def moved(self, connection: Connection) -> None:
        """The work goes on over another connection; the witness of the first stays where it is."""
        with contextlib.suppress(Exception):  # some builds refuse GET_LOCK on a cluster
            _move(connection, self.token + WORK)

    def free(self) -> None:
        """Give the lock back; where that fails, others see by the connection or the silence that it is free."""
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join()
        with contextlib.suppress(Exception):
            if self.heart is None:
                self.heart = self.connect()
            _change(self.heart, f"DELETE FROM {self.table} WHERE id = 1 AND token = %s", (self.token,))
        with contextlib.suppress(Exception):
            query(self.connection, "DO RELEASE_LOCK(%s)", (self.token,))
        _close(self.heart)

    def _watch(self) -> Connection:
        """A connection to wait over: nothing on it takes longer than PATIENCE."""
        connection = self.connect(read_timeout=PATIENCE)
        query(connection, "SET SESSION innodb_lock_wait_timeout = 1")
        return connection

    def _node(self, connection: Connection) -> str:
        """The node that answers; each start of a node may have a name of its own."""
        return str(query(connection, NODE[self.cluster])[0][1])

    def _witness(self) -> str:
        """Hold the named lock that lives as long as the working connection; the node where it can be seen, or ''."""
        try:
            taken = query(self.connection, "SELECT GET_LOCK(%s, 0)", (self.token,))[0][0]
        except Exception:
            return ""  # some builds refuse GET_LOCK on a cluster
        return self._node(self.connection) if taken == 1 else ""

    def _see(self, watch: Connection) -> Seen | None:
        """The row, if there is one; makes the table."""
        sql = f"SELECT token, holder, node, beat, since FROM {self.table} WHERE id = 1"
        try:
            rows = query(watch, sql)
        except Exception as error:
            if _number(error) != NO_TABLE:
                raise
            self._attempt(watch, ROW.format(table=self.table), ())
            rows = []
        return Seen(rows[0]) if rows else None

    def _insert(self, watch: Connection, own: tuple[str, str]) -> bool:
        return self._attempt(
            watch,
            f"INSERT INTO {self.table} (id, token, holder, node, beat, since)"
            " VALUES (1, %s, %s, %s, 0, UTC_TIMESTAMP())",
            (self.token, *own),
        )

    def _is_dead(self, watch: Connection, seen: Seen, silence: float) -> bool:
        """Whether the holder cannot be at work any more."""
        if seen.node and seen.node == self._node(watch):
            both = "SELECT IS_USED_LOCK(%s) IS NULL AND IS_USED_LOCK(%s) IS NULL"
            return bool(query(watch, both, (seen.token, seen.token + WORK))[0][0])
        if silence < SILENCE:
            return False
        return not self._in_statement(watch)

    def _in_statement(self, watch: Connection) -> bool:
        """Whether a statement that commits by itself began, and nobody knows that it ended."""
        if not self.heed_running:
            return False
        try:
            if self.cluster == "galera":
                query(watch, "SET SESSION wsrep_sync_wait = 1")  # as of now, and not of what this node got round to
            rows = query(watch, f"SELECT 1 FROM {self.state} WHERE running IS NOT NULL LIMIT 1")
        except Exception as error:
            if _number(error) == NO_TABLE:
                return False
            _close(watch)  # this node is held up itself
            return True
        if self.cluster == "galera":
            query(watch, "SET SESSION wsrep_sync_wait = DEFAULT")
        return bool(rows)

    def _take_over(self, watch: Connection, seen: Seen, own: tuple[str, str]) -> bool:
        return self._attempt(
            watch,
            f"UPDATE {self.table} SET token = %s, holder = %s, node = %s, beat = 0, since = UTC_TIMESTAMP()"
            " WHERE id = 1 AND token = %s AND beat = %s",
            (self.token, *own, *seen.life),
        )

    def _attempt(self, watch: Connection, sql: str, values: tuple[t.Any, ...]) -> bool:
        """Whether it changed the row. One that gets no answer in time is looked after by the next look."""
        try:
            return _change(watch, sql, values) == 1
        except Exception as error:
            if _number(error) not in (DUPLICATE, LOCK_WAIT, *CONFLICTS) and watch.open:
                raise
            return False

    def _live(self) -> None:
        while not self.stopping.wait(BEAT) and not self.lost:
            self._beat()

    def _beat(self) -> None:
        """Give a sign of life. One that was held up is given again, as it says only that the holder lived then."""
        sql = f"UPDATE {self.table} SET beat = beat + 1 WHERE id = 1 AND token = %s"
        with self.beating:
            while not self.lost:
                sent = time.monotonic()
                try:
                    self.heart = self.heart or self.connect()
                    kept = _change(self.heart, sql, (self.token,))
                except Exception:
                    _close(self.heart)
                    self.heart = None
                    return
                self.lost = not kept
                self.last = sent
                if time.monotonic() - sent < STALE:
                    return


def _close(connection: Connection | None) -> None:
    with contextlib.suppress(Exception):
        if connection is not None:
            connection.close()
