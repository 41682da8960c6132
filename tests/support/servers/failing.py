# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A way to a server of MariaDB or MySQL on which one statement fails, once, before it gets there."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
from collections.abc import Iterator
from threading import Lock, Thread

LOST = 0  # instead of an error's number: the connection ends
SILENT = -1  # nothing is answered


class Way:
    """Where it leads to, and what fails on it."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.troubles: list[tuple[bytes, int]] = []
        self.sent: list[bytes] = []
        self.lock = Lock()

    def fail(self, statement: str, error: int = LOST) -> None:
        """The next statement with this text gets this error as its answer, none, or ends its connection."""
        self.troubles.append((statement.encode(), error))

    def due(self, packet: bytes) -> int | None:
        """The error that is due at this packet."""
        with self.lock:
            self.sent.append(packet)
            for trouble in self.troubles:
                if trouble[0] in packet:
                    self.troubles.remove(trouble)
                    return trouble[1]
        return None


@contextlib.contextmanager
def failing(target: int) -> Iterator[Way]:
    """A port that leads to the port ``target``."""
    way = Way(target)

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            client: socket.socket = self.request
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", target)) as server:
                Thread(target=self.back, args=(server, client), daemon=True).start()
                while packet := client.recv(1 << 16):
                    error = way.due(packet)
                    if error == LOST:
                        break
                    if error == SILENT:
                        continue
                    if error is None:
                        server.sendall(packet)
                        continue
                    answer = b"\xff" + struct.pack("<H", error) + b"#HY000made by a test"
                    client.sendall(struct.pack("<I", len(answer) | 1 << 24) + answer)
                for end in (server, client):
                    end.shutdown(socket.SHUT_RDWR)

        @staticmethod
        def back(server: socket.socket, client: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := server.recv(1 << 16):
                    client.sendall(data)
                client.shutdown(socket.SHUT_RDWR)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Relay) as server:
        way.port = server.server_address[1]
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield way
        server.shutdown()
