# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in a table of MariaDB or MySQL, of any layout."""

from __future__ import annotations

import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _mysql
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

LOCK_WAIT, NO_SUCH_TABLE, REFERENCED, DENIED = 1205, 1146, 1701, 1142
CHUNK = 5000  # rows that one DELETE removes: short transactions, also for replicas and Galera


class Mysql:
    """The sessions in ``table``; with ``where``, those that it selects. ``epoch_table`` is that of our own handlers."""

    def __init__(self, connection: _mysql.Connection, params: dict[str, t.Any]) -> None:
        self.connection = connection
        self.name = params["table"]
        self.table = ".".join(_mysql.quote_identifier(part) for part in params["table"].split("."))
        self.where = params["where"] or ""
        self.epoch_table = params["epoch_table"] and _mysql.quote_identifier(params["epoch_table"])
        wait = max(1, params["lock_wait_timeout"])
        self._query(f"SET SESSION lock_wait_timeout = {wait}, innodb_lock_wait_timeout = {wait}")

    def count(self) -> int:
        """Rows that are sessions."""
        return int(self._query(f"SELECT COUNT(*) FROM {self.table}{self._condition()}")[0][0])

    def purge(self) -> int:
        """Empty the table at once; row by row where somebody holds it, or where only some rows are to go."""
        before = self.count()
        if self.epoch_table and not self.where:
            # Invalidates everything at once, also what a request that still runs will write.
            self._query(f"UPDATE {self.epoch_table} SET epoch = epoch + 1")
        if self.where or not self._truncate():
            while self._change(f"DELETE FROM {self.table}{self._condition()} LIMIT {CHUNK}") == CHUNK:
                pass
        return before - self.count()

    def _condition(self) -> str:
        return f" WHERE ({self.where})" if self.where else ""

    def _truncate(self) -> bool:
        """Whether TRUNCATE was possible: not while somebody reads, without DROP, or where foreign keys point here."""
        try:
            self._query(f"TRUNCATE TABLE {self.table}")
        except LampError as error:
            if error.details.get("server_error") in (LOCK_WAIT, REFERENCED, DENIED):
                return False
            raise
        return True

    def _query(self, sql: str) -> list[tuple[t.Any, ...]]:
        return self._run(sql)[1]

    def _change(self, sql: str) -> int:
        return self._run(sql)[0]

    def _run(self, sql: str) -> tuple[int, list[tuple[t.Any, ...]]]:
        try:
            with self.connection.cursor() as cursor:
                changed = cursor.execute(sql)
                return int(changed), list(cursor.fetchall() or ())
        except Exception as error:
            number = error.args[0] if error.args else 0
            text = error.args[1] if len(error.args) > 1 else str(error)
            if number == NO_SUCH_TABLE:
                raise LampError(
                    "session_purge_no_table",
                    f"The table {self.name} does not exist.",
                    "Check table and login_db.",
                ) from error
            raise LampError(
                "session_purge_failed",
                f"The sessions in {self.name} cannot be purged: {text} (error {number}).",
                "Check where, and the grants of login_user.",
                server_error=number,
            ) from error
