# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until replicas have what the server that takes the writes has, so that nobody reads an old schema from them."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._mysql import SERVER_ERRORS, Connection, Flavour, query

SLICE = 1.0  # seconds between two looks at whether a replica still replicates
POSITION = {"mariadb": "SELECT @@GLOBAL.gtid_binlog_pos", "mysql": "SELECT @@GLOBAL.gtid_executed"}
WRITES_GTIDS = {"mariadb": "SELECT @@GLOBAL.log_bin", "mysql": "SELECT @@GLOBAL.gtid_mode = 'ON'"}
WAIT = {"mariadb": "SELECT MASTER_GTID_WAIT(%s, %s)", "mysql": "SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)"}
# The threads of replication that have stopped, with their errors; users without the privilege are not told.
STATUS = {"mariadb": "SHOW ALL SLAVES STATUS", "mysql": "SHOW REPLICA STATUS"}
STOPPED = ("slave_io_running", "slave_sql_running", "replica_io_running", "replica_sql_running")
ERRORS = ("last_io_error", "last_sql_error")

Result = t.Dict[str, t.Any]


def position(connection: Connection, flavour: Flavour, server: str) -> str:
    """How far the server that takes the writes is. :raises LampError: ``dbdeploy_no_gtid``"""
    if not query(connection, WRITES_GTIDS[flavour.product])[0][0]:
        raise LampError(
            "dbdeploy_no_gtid",
            f"The server {server} gives its transactions no GTIDs, so that replicas cannot be waited for.",
            "Switch the binary log (MariaDB) or gtid_mode (MySQL) on, or leave replicas out.",
        )
    return str(query(connection, POSITION[flavour.product])[0][0])


def wait(
    target: str, flavour: Flavour, replicas: list[Result], timeout: float, connect: t.Callable[[Result], Connection]
) -> list[Result]:
    """Return once all replicas are at ``target``, with how long each took.

    :raises LampError: ``dbdeploy_replica_behind``, and what ``connect`` raises
    """
    started = time.monotonic()
    done = []
    for replica in replicas:
        connection = connect(replica)
        try:
            _wait(connection, flavour, replica, target, started + timeout)
        finally:
            connection.close()
        done.append({**replica, "position": target, "waited": round(time.monotonic() - started, 3)})
    return done


def _wait(connection: Connection, flavour: Flavour, replica: Result, target: str, deadline: float) -> None:
    name = f"{replica['host']}:{replica['port']}"
    while True:
        left = max(0.0, deadline - time.monotonic())
        try:
            if query(connection, WAIT[flavour.product], (target, min(SLICE, left)))[0][0] == 0:
                return
            stopped = _stopped(connection, flavour)
        except SERVER_ERRORS as error:
            stopped = f"it cannot be asked any more ({error})"
        if stopped or left <= 0:
            why = stopped or "it is still behind when the time is up"
            raise LampError(
                "dbdeploy_replica_behind",
                f"The deltas are applied, but the replica {name} has not got them: {why}.",
                "Mend the replica or give it more time (replica_timeout), then run the same command again.",
                replica=name,
            )


def _stopped(connection: Connection, flavour: Flavour) -> str:
    """What stopped the replication, or the empty string where it runs or this user may not know."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(STATUS[flavour.product])
            names = [column[0].lower() for column in cursor.description]
            rows = [dict(zip(names, row)) for row in cursor.fetchall()]
    except Exception:
        return ""
    for row in rows:
        if any(row.get(name) == "No" for name in STOPPED):
            said = " ".join(row[name] for name in ERRORS if row.get(name))
            return f"its replication has stopped{f' ({said})' if said else ''}"
    return ""
