# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One question over HTTP to one host, whatever the name in the address resolves to; nothing is followed."""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import time
import typing as t
from urllib.parse import urlsplit

ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
LOGIN = re.compile(r"//[^/?#\s]*@")
HEADER_NAME, HEADER_VALUE = re.compile(r"[A-Za-z0-9-]+"), re.compile(r"[ -~]*")
IN_A_REQUEST = re.compile(r"[!-~]+")  # what may stand in the line of a request as it is: no blank, no line end
BODY_LIMIT = 4 * 1024 * 1024  # bytes; what the collection asks for is smaller


class Answer:
    """What one request got: ``status``, ``headers`` (lower-cased names), ``body``."""

    def __init__(self, status: int, headers: dict[str, str], body: str) -> None:
        self.status = status
        self.headers = headers
        self.body = body


def is_address(url: str) -> bool:
    """Whether ``url`` can be asked for."""
    if not IN_A_REQUEST.fullmatch(url):  # urlsplit drops line ends
        return False
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        )
    except ValueError:
        return False


def without_login(text: str) -> str:
    """``text`` for a message: who wrote a password, or a token, into an address does not find it in a log."""
    return LOGIN.sub("//", text)


def is_place(address: str) -> bool:
    """Whether ``address`` can be asked at: ``host``, ``host:port``, ``[IPv6]:port``."""
    try:
        return bool(ADDRESS.fullmatch(address)) and urlsplit(f"//{address}").port != 0
    except ValueError:
        return False


class Reader(io.RawIOBase):
    """What a connection brings until ``deadline``: its own timeout begins anew with every byte."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self.connection = connection
        self.stream = connection.makefile("rb", buffering=0)  # open until it is read, also if the socket is closed
        self.deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        self.connection.settimeout(left)
        return self.stream.readinto(buffer) or 0

    def close(self) -> None:
        self.stream.close()
        super().close()

    def makefile(self, _mode: str) -> t.BinaryIO:
        """What HTTPResponse asks a socket for."""
        return io.BufferedReader(self)


def fetch(
    address: str, url: str, headers: dict[str, str] | None = None, *, verify: bool = False, timeout: float = 10
) -> Answer:
    """GET ``url`` from ``address`` (see `is_place`); where it has no port, from that of ``url``.

    ``verify`` holds the certificate against the name in ``url``; without it, whether this host answers is the question.

    :raises OSError: when there is no complete answer within ``timeout`` seconds
    """
    parts = urlsplit(url)
    place = urlsplit(f"//{address}")
    secure = parts.scheme == "https"
    host, port = place.hostname or "127.0.0.1", place.port or parts.port or (443 if secure else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    deadline = time.monotonic() + timeout
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        if secure:  # the server must hear the site's name, not the address, to choose its certificate and its host
            plain = socket.create_connection((host, port), timeout)
            connection.sock = _context(verify).wrap_socket(plain, server_hostname=parts.hostname)
        connection.request("GET", target, headers={"Host": parts.netloc, "Connection": "close", **(headers or {})})
        response = http.client.HTTPResponse(t.cast(socket.socket, Reader(connection.sock, deadline)), method="GET")
        response.begin()
        body = response.read(BODY_LIMIT)
        if response.length and len(body) < BODY_LIMIT:
            raise OSError(f"the answer was cut off, {response.length} bytes are missing")
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, body.decode("utf-8", "replace"))
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer ({error!r})") from error
    except UnicodeError as error:  # of a part of a name that is empty, or longer than 63 letters
        raise OSError(f"{host} or {parts.hostname} is no name of a host") from error
    finally:
        connection.close()


def _context(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
