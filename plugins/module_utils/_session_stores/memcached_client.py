# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memcached's protocols, as far as a purge needs them: no client library lists keys without holding all of them.

The text protocol lists and deletes. Servers with SASL speak the binary one alone, which cannot list.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
import time
import typing as t
import urllib.parse

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.addresses import Address

BUSY_FOR = 30  # seconds to wait for somebody else's crawl
HEADER = struct.Struct(">BBHBBHIIQ")
REQUEST, AUTH_ERROR = 0x80, 0x20
SASL_AUTH, FLUSH, STAT = 0x21, 0x08, 0x10


def connect(address: Address, params: dict[str, t.Any]) -> socket.socket:
    """A connection, with TLS where asked for. :raises LampError: ``session_purge_unreachable``"""
    try:
        if address.socket:
            plain = socket.socket(socket.AF_UNIX)
            plain.settimeout(params["connect_timeout"])
            plain.connect(address.socket)
        else:
            plain = socket.create_connection((address.host, address.port), params["connect_timeout"])
        plain.settimeout(max(30, params["connect_timeout"]))
        if not (params["tls"] or params["ca_cert"]):
            return plain
        context = ssl.create_default_context(cafile=params["ca_cert"])
        context.check_hostname = params["check_hostname"] is not False
        if params["client_cert"]:
            context.load_cert_chain(params["client_cert"], params["client_key"])
        return context.wrap_socket(plain, server_hostname=address.host)
    except OSError as error:
        raise LampError(
            "session_purge_unreachable",
            f"No connection to memcached {address}: {error}.",
            "Check that it runs, that servers names it, and tls with ca_cert.",
        ) from error


def failed(address: Address, text: str) -> LampError:
    """The LampError for an answer that was not to be expected."""
    return LampError(
        "session_purge_failed",
        f"The sessions on memcached {address} cannot be purged: {text}.",
        "Memcached 1.4.31 or later is needed, with its lru_crawler and without -X.",
    )


def denied(address: Address, text: str) -> LampError:
    """The LampError for a login that was refused."""
    return LampError(
        "session_purge_denied",
        f"memcached {address} refused the login: {text}.",
        "Check login_user and login_password.",
    )


class Item(t.NamedTuple):
    """What the listing says of an item, in seconds since 1970 by the server's clock."""

    name: bytes
    end: int  # -1: it has none
    used: int  # not later than it was last used: reading it, or putting off its end, need not be recorded here


def _unquoted(name: bytes) -> bytes:
    return urllib.parse.unquote_to_bytes(name) if b"%" in name else name


class Text:
    """A connection that speaks the text protocol."""

    def __init__(self, address: Address, params: dict[str, t.Any]) -> None:
        self.address = address
        self.socket = connect(address, params)
        self.reader = self.socket.makefile("rb")
        if params["login_user"]:
            login = f"{params['login_user']} {params['login_password'] or ''}".encode()
            answer = self.ask(b"set auth 0 0 %d\r\n%s" % (len(login), login))
            if answer != b"STORED":
                raise denied(address, answer.decode(errors="replace"))

    def close(self) -> None:
        """End the connection."""
        self.reader.close()
        self.socket.close()

    def ask(self, command: bytes) -> bytes:
        """The one line that answers a command."""
        self.send(command + b"\r\n")
        return self.line()

    def send(self, data: bytes) -> None:
        """Send lines."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise failed(self.address, str(error)) from error

    def line(self) -> bytes:
        """The next line of an answer."""
        try:
            line = self.reader.readline()
        except OSError as error:
            raise failed(self.address, str(error)) from error
        if not line.endswith(b"\n"):
            raise failed(self.address, "the connection was closed; a server with SASL can be purged only as dedicated")
        return line.rstrip(b"\r\n")

    def items(self) -> int:
        """How many items there are, those included that expired or were flushed, and not yet reclaimed."""
        return int(self.stats().get(b"curr_items", 0))

    def now(self) -> int:
        """The time, by the server's clock."""
        return int(self.stats()[b"time"])

    def stats(self, group: bytes = b"") -> dict[bytes, bytes]:
        """What the server says of itself."""
        line = self.ask(b"stats " + group)
        found = {}
        while line.startswith(b"STAT "):
            name, _space, value = line[len(b"STAT ") :].partition(b" ")
            found[name] = value
            line = self.line()
        return found

    def listing(self, prefix: bytes) -> t.Iterator[list[bytes]]:
        """The names that begin with ``prefix``, some at a time; and maybe some of them twice."""
        for found in self._dump(prefix, b" "):
            yield [_unquoted(name) for name in found]

    def listing_of_times(self, prefix: bytes) -> t.Iterator[list[Item]]:
        """The same, with when items end and were last seen to be used."""
        for found in self._dump(prefix, rb" (?:exp=(-?\d+) la=(\d+) )?"):
            if not all(used for _name, _end, used in found):
                raise failed(self.address, "its listing does not say when items end and were used")
            yield [Item(_unquoted(name), int(end), int(used)) for name, end, used in found]

    def _dump(self, prefix: bytes, rest_of_line: bytes) -> t.Iterator[list[t.Any]]:
        """What the listing says of names that begin so."""
        quoted = urllib.parse.quote_from_bytes(prefix, safe="").encode()
        items = re.compile(rb"^key=(" + re.escape(quoted) + rb"[^ ]*)" + rest_of_line, re.MULTILINE).findall
        rest = self._begin_listing()
        while rest not in (b"END\r\n", b"END\n"):
            cut = rest.rfind(b"\n") + 1
            found = items(rest[:cut])
            if found:
                yield found
            if rest[:cut].endswith((b"\nEND\r\n", b"\nEND\n")):
                return
            try:
                more = self.reader.read1(1 << 18)
            except OSError as error:
                raise failed(self.address, str(error)) from error
            if not more:
                raise failed(self.address, "the connection was closed while it listed its keys")
            rest = rest[cut:] + more

    def _begin_listing(self) -> bytes:
        """Ask for the listing; its first line. The whole hash table is complete, where the server can walk it."""
        deadline = time.monotonic() + BUSY_FOR
        for what in (b"hash", b"all"):
            first = self.ask(b"lru_crawler metadump " + what)
            while first.startswith(b"BUSY"):
                if time.monotonic() > deadline:
                    raise failed(self.address, f"another crawl has kept it busy for {BUSY_FOR} s")
                time.sleep(0.05)
                first = self.ask(b"lru_crawler metadump " + what)
            if first == b"END" or first.startswith(b"key="):
                return first + b"\r\n"
        raise failed(self.address, f"it does not list its keys ({first.decode(errors='replace')})")


class Binary:
    """A connection that speaks the binary protocol, after a login with SASL PLAIN."""

    def __init__(self, address: Address, params: dict[str, t.Any]) -> None:
        self.address = address
        self.socket = connect(address, params)
        self.reader = self.socket.makefile("rb")
        secret = f"\0{params['login_user']}\0{params['login_password'] or ''}".encode()
        status, _key, text = self.ask(SASL_AUTH, b"PLAIN", secret)
        if status:
            raise denied(address, text.decode(errors="replace") or f"status {status}")

    def close(self) -> None:
        """End the connection."""
        self.reader.close()
        self.socket.close()

    def flush(self) -> None:
        """Invalidate everything."""
        status, _key, text = self.ask(FLUSH)
        if status:
            raise failed(self.address, text.decode(errors="replace"))

    def items(self) -> int:
        """How many items there are, those included that were flushed and not yet reclaimed."""
        return int(self.stats().get(b"curr_items", 0))

    def stats(self, group: bytes = b"") -> dict[bytes, bytes]:
        """What the server says of itself."""
        self._send(STAT, group)
        found: dict[bytes, bytes] = {}
        while True:
            status, key, value = self._answer()
            if status or not key:
                return found
            found[key] = value

    def ask(self, code: int, key: bytes = b"", value: bytes = b"") -> tuple[int, bytes, bytes]:
        """Status, key and value of the answer to a command."""
        self._send(code, key, value)
        return self._answer()

    def _send(self, code: int, key: bytes = b"", value: bytes = b"") -> None:
        try:
            self.socket.sendall(
                HEADER.pack(REQUEST, code, len(key), 0, 0, 0, len(key) + len(value), 0, 0) + key + value
            )
        except OSError as error:
            raise failed(self.address, str(error)) from error

    def _answer(self) -> tuple[int, bytes, bytes]:
        try:
            header = self.reader.read(HEADER.size)
            if len(header) < HEADER.size or header[0] != 0x81:
                raise failed(self.address, "it does not speak the binary protocol")
            _magic, _code, key_size, extra, _type, status, size, _opaque, _cas = HEADER.unpack(header)
            body = self.reader.read(size)
        except OSError as error:
            raise failed(self.address, str(error)) from error
        return status, body[extra : extra + key_size], body[extra + key_size :]
