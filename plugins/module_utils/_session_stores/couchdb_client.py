# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP with JSON over one connection that is kept, which open_url does not do: a purge asks often."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import time
import typing as t
import urllib.parse

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._http import Reader, is_address, without_login

LONGEST = 60  # seconds from a request to the end of its answer


class _Socket:
    """A connection for http.client, of which every answer has an end."""

    def __init__(self, plain: socket.socket) -> None:
        self.plain = plain

    def sendall(self, data: bytes) -> None:
        self.plain.settimeout(LONGEST)
        self.plain.sendall(data)

    def makefile(self, mode: str) -> t.BinaryIO:
        return Reader(self.plain, time.monotonic() + LONGEST).makefile(mode)

    def close(self) -> None:
        self.plain.close()


class Refused(Exception):
    """An answer with a status that is an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


class Client:
    """Asks the server at ``url``."""

    def __init__(self, params: dict[str, t.Any]) -> None:
        self.url = params["url"].rstrip("/")
        if not is_address(self.url):
            raise LampError(
                "session_purge_bad_url",
                f"url {without_login(self.url)!r} is not the address of a server.",
                "Give http://host:port or https://host:port; the user goes into login_user and login_password.",
            )
        parts = urllib.parse.urlsplit(self.url)
        host = t.cast(str, parts.hostname)
        self.prefix = parts.path
        self.headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if params["login_user"]:
            login = f"{params['login_user']}:{params['login_password'] or ''}".encode()
            self.headers["Authorization"] = "Basic " + base64.b64encode(login).decode()
        self.received = 0  # bytes of the last answer
        timeout = params["connect_timeout"]
        if parts.scheme == "https":
            self.connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, parts.port, timeout=timeout, context=self._context(params)
            )
        else:
            self.connection = http.client.HTTPConnection(host, parts.port, timeout=timeout)

    def _context(self, params: dict[str, t.Any]) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=params["ca_cert"])
            context.check_hostname = params["check_hostname"] is not False
            if params["client_cert"]:
                context.load_cert_chain(params["client_cert"], params["client_key"])
        except OSError as error:
            raise self._unreachable(error) from error
        return context

    def ask(self, method: str, path: str, body: t.Any = None) -> t.Any:
        """The JSON of the answer. :raises Refused: for an answer that is an error"""
        data = None if body is None else json.dumps(body).encode()
        try:
            if not isinstance(self.connection.sock, _Socket):
                self.connection.connect()
                self.connection.sock = _Socket(self.connection.sock)
            self.connection.request(method, self.prefix + path, body=data, headers=self.headers)
            answer = self.connection.getresponse()
            text = answer.read()
            self.received = len(text)
            if answer.status >= 300:
                raise Refused(answer.status, text[:300].decode(errors="replace").strip())
            return json.loads(text or b"null")
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.connection.close()
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> LampError:
        return LampError(
            "session_purge_unreachable",
            f"No answer from the server at {self.url}: {error}.",
            "Check that it runs, url and ca_cert.",
        )
