# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's runtime API: one command over its socket, one answer."""

from __future__ import annotations

import csv
import socket
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

# What a `set` or a `show` answers when it did not do what it was asked for; a `set` that works answers nothing.
REFUSALS = ("permission denied", "no such", "can't find", "unknown command", "unknown map", "require")


class Row(t.Dict[str, str]):
    """One row of a table, by the names of the columns. :raises LampError: ``haproxy_cut_off`` where one is missing"""

    def __missing__(self, name: str) -> str:
        raise cut_off(f"a row without {name}")


def cut_off(what: str) -> LampError:
    """The error for an answer that is less than what was asked for, which proves nothing."""
    return LampError(
        "haproxy_cut_off",
        f"HAProxy's runtime API gave an answer that is not whole: {what}.",
        "Is HAProxy being reloaded? Run the same command again.",
    )


class Runtime:
    """The HAProxy behind ``address``: the path of its socket, or ``host:port`` where it listens on TCP."""

    def __init__(self, address: str, timeout: float = 10) -> None:
        self.address = address
        self.timeout = timeout

    def ask(self, command: str) -> str:
        """What HAProxy answers to one command.

        :raises LampError: ``haproxy_unreachable``, ``haproxy_refused``
        """
        try:
            with self._connect() as connection:
                connection.sendall(command.encode() + b"\n")
                answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode("utf-8", "replace")
        except (OSError, ValueError) as error:
            raise self._unreachable(str(error)) from error
        if answer.strip().lower().startswith(REFUSALS):
            raise self._refusal(command, answer)
        return answer

    def tell(self, command: str) -> None:
        """Send a command that answers nothing when it works. :raises LampError: as ``ask``"""
        answer = self.ask(command)
        if answer.strip():
            raise self._refusal(command, answer)

    def table(self, command: str) -> list[Row]:
        """The rows of an answer whose first comment line names the columns.

        :raises LampError: ``haproxy_cut_off`` and as ``ask``
        """
        lines = [line for line in self.ask(command).splitlines() if line]
        if not lines:  # it closed the connection, as it does when it has too many, or is about to end
            raise self._unreachable(f"nothing came to '{command}'")
        head = next((number for number, line in enumerate(lines) if line.startswith("# ")), None)
        if head is None:
            raise cut_off(f"no table from {self.address} for '{command}'")
        delimiter = "," if "," in lines[head] else " "
        names, *rows = csv.reader([lines[head][2:], *lines[head + 1 :]], delimiter=delimiter)
        return [Row(zip(names, row)) for row in rows]

    def _connect(self) -> socket.socket:
        if self.address.startswith("/"):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(self.timeout)
            try:
                connection.connect(self.address)
            except OSError:
                connection.close()
                raise
            return connection
        host, colon, port = self.address.rpartition(":")
        if not colon or not port.isdigit() or int(port) > 65535:
            raise ValueError("it is neither a path nor host:port")
        return socket.create_connection((host.strip("[]"), int(port)), timeout=self.timeout)

    def _unreachable(self, why: str) -> LampError:
        return LampError(
            "haproxy_unreachable",
            f"HAProxy's runtime API at {self.address} does not answer ({why}).",
            "Look whether HAProxy runs there and its section global has a line such as:"
            " stats socket /run/haproxy/admin.sock mode 660 level admin",
        )

    def _refusal(self, command: str, answer: str) -> LampError:
        said = answer.strip().splitlines()[0].rstrip(".")
        verb = " ".join(command.split()[:2])  # the rest of a command may hold what nobody should read
        return LampError(
            "haproxy_refused",
            f"HAProxy at {self.address} refuses '{verb}': {said}.",
            "The socket must have `level admin`; the names must be those of HAProxy's configuration.",
        )


def connect_all(addresses: t.Sequence[str], timeout: float = 10) -> list[Runtime]:
    """One Runtime each. :raises LampError: ``haproxy_unreachable`` where none is named"""
    if not addresses:
        raise LampError("haproxy_unreachable", "No HAProxy is named.", "Give the address of at least one socket.")
    return [Runtime(address, timeout) for address in addresses]
