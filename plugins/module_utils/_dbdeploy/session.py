# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection that deltas run over: several statements in one packet, and a fresh session where one was used up."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _mysql
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._mysql import Connection

# The connection is gone, and with it the answer; with the first three the server says why it closes it: it is shut
# down, the packet is too large, somebody killed the connection.
LOST = (1053, 1153, 1927, 0, 2006, 2013, 2014, 2055)


def number_of(error: BaseException) -> int:
    """The server's error number; 0 where the connection failed and no server said anything."""
    number = error.args[0] if error.args else 0
    return number if isinstance(number, int) else 0


def text_of(error: BaseException) -> str:
    """What the server said."""
    return str(error.args[1]) if len(error.args) > 1 else str(error)


class PacketError(Exception):
    """The statement at ``index`` of a packet failed with ``error``; those before it were answered."""

    def __init__(self, index: int, error: Exception) -> None:
        super().__init__(index, error)
        self.index = index
        self.error = error


class Session:
    """``connection`` is the one to use now. ``connect`` makes another one, prepared like the first.

    ``packets``: statements may travel together. ``compound``: the server knows BEGIN NOT ATOMIC.
    """

    def __init__(
        self, connection: Connection, connect: t.Callable[[], Connection], *, packets: bool, compound: bool
    ) -> None:
        self.connection = connection
        self._first = connection
        self._connect = connect
        self.packets = packets
        self.compound = compound
        self.last = 0  # index of the last statement that was asked

    def renew(self) -> None:
        """Go on in a session that no delta has touched. The first one stays open: it may hold the lock."""
        self.close()
        self.connection = self._connect()

    def close(self) -> None:
        """Close the connection unless it is the one that the session began with."""
        if self.connection is not self._first and self.connection.open:
            self.connection.close()
        self.connection = self._first

    def query(self, sql: str) -> list[tuple[t.Any, ...]]:
        """The rows of a statement of the run's own. :raises LampError: ``dbdeploy_records``"""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall() or ())
        except Exception as error:
            raise records_error(error) from error

    def ask(self, statements: list[str]) -> None:
        """Have the server run statements, in one packet; the next thing that is done here must be ``answers``.

        :raises PacketError: when they cannot be sent
        """
        self.last = len(statements) - 1
        try:
            self.connection.ask(";\n".join(statements))
        except Exception as error:
            raise PacketError(0, error) from error

    def answers(self, answered: t.Callable[[int], None] = lambda _index: None) -> None:
        """Wait for what was asked; ``answered`` is called with the index of each statement that was.

        Of a CALL several answers may come, the first of them before its end; so it travels alone.

        :raises PacketError: at the first that fails
        """
        index, more = 0, True
        try:
            while more:
                self.connection.next_result()
                answered(index)
                index, more = min(index + 1, self.last), self.connection.more
        except Exception as error:
            raise PacketError(index, error) from error

    def send(self, statements: list[str]) -> None:
        """Run statements in one packet. :raises PacketError: at the first that fails"""
        self.ask(statements)
        self.answers()

    def roll_back(self) -> None:
        """Undo the open transaction, if the connection can still be asked to."""
        self.query("ROLLBACK")


@contextlib.contextmanager
def untouched() -> t.Iterator[None]:
    """What fails in here says that nothing took effect in the database. :raises LampError: for server errors too"""
    try:
        yield
    except LampError as error:
        error.details.setdefault("database_changed", False)
        raise
    except _mysql.SERVER_ERRORS as error:
        failure = records_error(error)
        failure.details["database_changed"] = False
        raise failure from error


def records_error(error: Exception) -> LampError:
    """What is said when the run's own records could not be read or written."""
    if number_of(error) in LOST:
        return LampError(
            "dbdeploy_connection_lost",
            f"The connection to the server was lost while the records of the run were read or written: {error}.",
            "Run the same command again: it resumes, or says what cannot be known.",
        )
    return LampError(
        "dbdeploy_records",
        f"The server refused to read or write the records of the run: {text_of(error)} (error {number_of(error)}).",
        "Mend that (grants on the changelog tables, space on the disk, a read-only server), then run the same command"
        " again: it resumes, or says what cannot be known.",
    )
