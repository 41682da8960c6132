# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until the transactions of a database user that began before now have ended."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._mysql import Connection

# A transaction's start is kept in whole seconds, so that its age may be up to one too high: it is waited for longer.
# It is told in the time zone of the machine, whatever that of the server or of this connection is.
QUERY = (
    "SELECT p.ID, p.HOST,"
    " TIMESTAMPDIFF(MICROSECOND, x.trx_started, CONVERT_TZ(NOW(6), @@session.time_zone, 'SYSTEM')) / 1000000"
    " FROM information_schema.INNODB_TRX x JOIN information_schema.PROCESSLIST p ON p.ID = x.trx_mysql_thread_id"
    " WHERE p.USER = %s AND p.ID <> CONNECTION_ID()"
)
POLL_SECONDS = 0.15  # InnoDB shows the same picture again to who looks within a tenth of a second
ER_SPECIFIC_ACCESS_DENIED = 1227


def open_transactions(connection: Connection, user: str, age: float) -> list[dict[str, t.Any]]:
    """Those of ``user`` that are older than ``age`` seconds: connection, host and seconds, the oldest first.

    :raises LampError: ``transaction_drain_no_right``
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute(QUERY, (user,))
            rows = cursor.fetchall()
    except Exception as error:
        if error.args and error.args[0] == ER_SPECIFIC_ACCESS_DENIED:
            raise LampError(
                "transaction_drain_no_right",
                "The login user may not see the transactions of others.",
                "Grant it PROCESS: GRANT PROCESS ON *.* TO the user that logs in.",
            ) from error
        raise
    found: list[dict[str, t.Any]] = [
        {"id": int(row[0]), "host": str(row[1]), "seconds": round(float(row[2]), 3)} for row in rows
    ]
    # One from the future began in the hour that a clock in summer time goes through twice.
    return sorted((one for one in found if not 0 <= one["seconds"] < age), key=lambda one: -one["seconds"])


def drain(connection: Connection, user: str, timeout: float) -> dict[str, t.Any]:
    """Wait for them, at most ``timeout`` seconds. ``connection`` must be in autocommit."""
    started = time.monotonic()
    while True:
        waited = time.monotonic() - started
        left = open_transactions(connection, user, waited)
        if not left or waited >= timeout:
            return {"drained": not left, "transactions": left, "drain_seconds": round(waited, 3)}
        time.sleep(POLL_SECONDS)
