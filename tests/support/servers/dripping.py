# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server that is never silent for long, and never comes to the end of its answer."""

from __future__ import annotations

import contextlib
import socketserver
from collections.abc import Iterator
from threading import Event, Thread


@contextlib.contextmanager
def dripping(begin: bytes) -> Iterator[int]:
    """The port of one whose answers begin with ``begin``; a byte follows now and then."""
    over = Event()

    class Drip(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.request.recv(1 << 16)
                self.request.sendall(begin)
                while not over.wait(0.05):
                    self.request.sendall(b"a")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            over.set()
            server.shutdown()
