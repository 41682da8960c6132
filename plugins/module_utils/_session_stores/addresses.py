# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of servers as users write them."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:/\[\]\s]+))(?::(?P<port>\d{1,5}))?")


class Address(t.NamedTuple):
    """Where a server listens: on a host's port, or on a Unix socket."""

    host: str
    port: int
    socket: str = ""

    def __str__(self) -> str:
        return self.socket or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")


def parse(texts: t.Sequence[str], port: int) -> list[Address]:
    """``host``, ``host:port``, ``[2001:db8::1]:port``, ``/path/of/socket``.

    :raises LampError: ``session_purge_bad_address``
    """
    addresses = []
    for text in texts:
        if text.startswith("/"):
            addresses.append(Address("", 0, text))
            continue
        match = ADDRESS.fullmatch(text)
        if not match or not 0 < int(match["port"] or port) < 65536:
            raise LampError(
                "session_purge_bad_address",
                f"{text!r} in servers is no address.",
                "Give host, host:port, [IPv6]:port or the path of a socket.",
            )
        addresses.append(Address(match["six"] or match["host"], int(match["port"] or port)))
    return addresses
