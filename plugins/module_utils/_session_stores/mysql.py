# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in a table of MariaDB or MySQL, of any layout."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _mysql
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import COUNTED, Tally, layouts
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.selection import Selection
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.sql import TRIES, Table

MOMENTS = {"datetime", "timestamp"}
NUMBERS = {"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double"}
WHOLE = re.compile(r"-?\d+")
BEING_COPIED = "lamp_session_former"  # what the former table is called while it is taken over


class Mysql:
    """The sessions in one table, with what belongs to them in the tables beside it."""

    def __init__(self, connection: _mysql.Connection, params: dict[str, t.Any]) -> None:
        self.layout = layouts.of(params)
        if not self.layout.table:
            raise LampError(
                "session_purge_no_table_named", f"The layout {params['layout']} names no table.", "Set table."
            )
        # Some servers write all names small, also in the lists and grants that names are looked for in.
        fold = str.lower if _mysql.query(connection, "SELECT @@GLOBAL.lower_case_table_names")[0][0] else str
        self.layout = self.layout._replace(table=fold(self.layout.table))
        self.table = Table(connection, self.layout.table)
        self.name = f"mysql {self.layout.table}"
        self.on_lock = params["on_lock"]
        self.wait = max(1, params["lock_wait_timeout"])
        if _mysql.is_read_only(connection):  # some logins may write there all the same, and a replica is no primary
            raise LampError(
                "session_purge_read_only",
                f"The server {_mysql.where(params)} is read-only, as a replica is. Nothing was purged.",
                "Log in to the server that takes the writes (login_host).",
            )
        self.table.query(f"SET SESSION lock_wait_timeout = {self.wait}, innodb_lock_wait_timeout = {self.wait}")
        if _mysql.Flavour.of(connection).cluster == "galera":
            self.table.query("SET SESSION wsrep_sync_wait = 3")  # know what other nodes have committed
        able = {"where", *(["keep_ids"] if self.layout.id else [])}
        able |= {*(["keep_users"] if self.layout.user else []), *(["older_than"] if self.layout.time else [])}
        self.selection = Selection(params, frozenset(able))
        in_window = params["leftovers"] == "leave"
        self.exchanges = in_window and params["exchange"]
        self.swaps = self.on_lock == "swap" and (self.selection.everything or self.selection.all_but_ids)
        self.limit = COUNTED if in_window and (self.selection.everything or self.swaps) else 0
        self.group = _mysql.quote_identifier(self.layout.id) if self.layout.rows == "variable" else ""
        ours = params["layout"] == "lamp"
        epochs = fold(params["epoch_table"] or "") or (f"{self.layout.table}_epoch" if ours else "")
        self.epochs = Table(connection, epochs) if epochs else None
        self.epoch_name = self.table.literal(params["epoch_name"])
        variables = Table(connection, f"{self.layout.table}_variable")
        self.variables = variables if ours and variables.exists() else None
        self.condition = self._condition()

    # -- which rows

    def _condition(self) -> str:
        """The SQL condition that selects: rows, or with a row per variable groups of them, each a session.

        A session ends as a whole: ``where`` has to hold for a row of it, and no row may spare it.
        """
        selection, layout = self.selection, self.layout
        spared = []
        if selection.keep_ids:
            self._check_numbers("keep_ids", layout.id, selection.keep_ids)
            spared.append(f"NOT ({self._kept_ids(layout.id)})")
        if selection.keep_users:
            self._check_numbers("keep_users", layout.user, selection.keep_users)
            user = _mysql.quote_identifier(layout.user)
            users = ", ".join(self.table.literal(user) for user in sorted(selection.keep_users))
            spared.append(f"({user} IS NULL OR {user} NOT IN ({users}))")
        if selection.older_than is not None:
            spared.append(f"{_mysql.quote_identifier(layout.time)} < {self._moment(selection.age)}")
        selected = [f"({selection.where})"] if selection.where else []
        if self.group and not selection.everything:
            selected = [f"MAX(CASE WHEN {part} THEN 1 ELSE 0 END) = 1" for part in selected]
            spared = [f"MIN(CASE WHEN {part} THEN 1 ELSE 0 END) = 1" for part in spared]
        return " AND ".join(spared + selected) or "TRUE"  # an error in where shows what is behind it: no ids

    def _moment(self, seconds: int) -> str:
        """So many seconds ago, as the column of the last write has it. No clock that is set back goes into it."""
        kind = self.table.kind(self.layout.time)
        ago = f"CAST(UNIX_TIMESTAMP() AS SIGNED) - {seconds}"
        if kind in MOMENTS:
            return f"FROM_UNIXTIME({ago})"
        if kind in NUMBERS or not kind:  # the server says what is missing
            return ago
        raise self._cannot_select("older_than", self.layout.time, f"is of the type {kind}, which is no time")

    def _check_numbers(self, option: str, column: str, values: t.Iterable[str]) -> None:
        """A text that is no number equals 0 for the server, which in some tables is everybody who is not logged in."""
        if self.table.kind(column) in NUMBERS and not all(map(WHOLE.fullmatch, values)):
            raise self._cannot_select(option, column, "holds numbers, and what is to be kept is none")

    def _cannot_select(self, option: str, column: str, why: str) -> LampError:
        return LampError(
            "session_purge_cannot_select",
            f"Sessions in {self.table.name} cannot be selected by {option}: the column {column} {why}.",
            f"Correct {option}, or name another column in columns, or select with where. Nothing was purged.",
        )

    def _kept_ids(self, column: str) -> str:
        ids = ", ".join(self.table.literal(text) for text in layouts.stored_ids(self.layout, self.selection.keep_ids))
        return f"{_mysql.quote_identifier(column)} IN ({ids})"

    def count(self) -> Tally:
        """Sessions in the table; where they are ended at once, counting stops at a limit."""
        total = self.table.count(group=self.group, limit=self.limit)
        selected = total
        if not self.selection.everything:
            selected = self.table.count(self.condition, self.group, self.limit)
        return Tally(total, selected, beside=self._orphans(), exact=not self.limit or total < self.limit)

    def _orphans(self) -> int:
        """1 if there are variables that no session will hold after the purge: their number is of no use to anybody."""
        if self.variables is None or not self.selection.everything:
            return 0
        return self.variables.count(limit=1)

    # -- the epoch

    def begin(self, check: bool) -> dict[str, t.Any]:
        """Raise the epoch: what requests in flight still write then does not count.

        Only where all sessions end, or all but some ids, which are taken along: for others it would end those that
        are to stay.
        """
        for table in (self.table, self.variables) if self.swaps else ():
            if table:
                table.check_swap()  # else the epoch would have ended the sessions that are then not removed
        carried = self.layout.epoch if self.selection.all_but_ids else ""
        raises = self.epochs is not None and (self.selection.everything or bool(carried))
        if check:  # a purge is told by the server itself what it may not do
            self._check_rights(raises, carried)
        if self.epochs is None or not raises:
            return {}
        for _try in range(TRIES):
            try:
                return {"epoch": self._raise_epoch(self.epochs, carried, check)}
            except LampError as error:
                if error.details.get("server_error") not in _mysql.CONFLICTS:
                    raise
                self.epochs.query("ROLLBACK")  # all of it is tried again, as a conflict took all of it back
        return {"epoch": self._raise_epoch(self.epochs, carried, check)}

    def _check_rights(self, raises: bool, carried: str) -> None:
        at_once = self.swaps or (self.selection.everything and self.on_lock != "delete")
        for table in (self.table, self.variables):
            if table:
                table.check_removal(at_once)
        for table, column in ((self.epochs if raises else None, "epoch"), (self.table if carried else None, carried)):
            if table:
                name = _mysql.quote_identifier(column)
                table.check_change(f"UPDATE {table.quoted} SET {name} = {name} WHERE FALSE")

    def _raise_epoch(self, epochs: Table, carried: str, check: bool) -> int:
        """The new epoch. Sessions to keep, if their layout has a column for theirs, are ``carried`` along."""
        if not check:
            epochs.query("START TRANSACTION")
        lock = "" if check else " FOR UPDATE"
        rows = epochs.query(f"SELECT epoch FROM {epochs.quoted} WHERE name = {self.epoch_name}{lock}")
        if not rows:
            raise LampError(
                "session_purge_no_epoch",
                f"The table {epochs.name} has no row named {self.epoch_name}: no epoch was raised, nothing was purged.",
                "Correct epoch_table and epoch_name; for layout lamp apply the delta set session_store.",
            )
        new = int(rows[0][0]) + 1
        if check:
            return new
        epochs.query(f"UPDATE {epochs.quoted} SET epoch = {new} WHERE name = {self.epoch_name}")
        if carried:
            column = _mysql.quote_identifier(carried)
            self.table.query(
                f"UPDATE {self.table.quoted} SET {column} = {new} WHERE {column} = {new} - 1"
                f" AND {self._kept_ids(self.layout.id)}"
            )
        epochs.query("COMMIT")
        return new

    # -- removal

    def purge(self) -> Tally:
        """Remove what one look finds: at once where everything goes, else the rows that are selected."""
        found = self.count()
        gone = found.selected
        orphaned = self.variables  # first, for while there are sessions, a purge that is killed here is begun anew
        if orphaned and (found.selected or found.beside) and self._at_once(orphaned, "session_id"):
            orphaned = None
        if found.selected and not self._at_once(self.table, self.layout.id):
            if self.group and not self.selection.everything:
                self.table.delete_groups(self.group, self.condition)
            else:
                deleted = self.table.delete(self.condition)
                gone = gone if self.group else deleted
        if orphaned and (found.selected or found.beside):
            self._delete_orphans(orphaned)
        return found._replace(total=max(found.total, gone), selected=gone)

    def _at_once(self, table: Table, owner: str) -> bool:
        """Empty a table, but for what belongs to the sessions to keep; False where rows must be deleted.

        :param owner: its column with the ids of the sessions
        """
        if self.swaps:
            table.swap(self._kept_ids(owner) if self.selection.keep_ids else "FALSE", self.wait)
            return True
        return self.selection.everything and table.empty(self.wait, self.exchanges, deny_lock=self.on_lock == "wait")

    def _delete_orphans(self, variables: Table) -> None:
        """The variables of sessions that are gone."""
        owner = f"{self.table.quoted}.{_mysql.quote_identifier(self.layout.id)}"
        variables.delete(
            f"NOT EXISTS (SELECT 1 FROM {self.table.quoted} WHERE {owner} = {variables.quoted}.session_id)"
        )

    def sweep(self, remove: bool) -> int:
        """Drop the tables that earlier purges exchanged for empty ones; variables alone count as one session."""
        swept = 0
        for table in self.table.aside():
            swept += table.count(group=self.group)
            if remove:
                table.drop()
        for table in self.variables.aside() if self.variables else ():
            swept = max(swept, table.count(limit=1))
            if remove:
                table.drop()
        return swept


def stores(params: dict[str, t.Any]) -> list[Mysql]:
    """The table of the sessions, and the one of another handler that they are in as long as it is there."""
    connection = _mysql.connect(params, autocommit=True)
    own, former = Mysql(connection, params), params["former"]
    if not former or params["layout"] != "lamp":
        return [own]
    like = {
        "layout": "variables" if former["rows"] == "variable" else "custom",
        "columns": {"id": former["id"], "time": former["time"]},
        "epoch_table": None,
    }
    for name in (former["table"], BEING_COPIED):
        if _answers(Table(connection, name)):
            return [own, Mysql(connection, {**params, **like, "table": name})]
    return [own]


def _answers(table: Table) -> bool:
    """Whether it is there. What the server lists are only those that the user has rights to: that would miss sessions.

    :raises LampError: ``session_purge_failed`` where the user may not know
    """
    try:
        table.query(f"SELECT 1 FROM {table.quoted} LIMIT 0")
    except LampError as error:
        if error.code != "session_purge_no_table":
            raise
        return False
    return True
