# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network between a client and a server of this machine, as there is one between two hosts of a cluster.

A process of its own relays TCP connections, and holds each piece of what they carry for half a round trip. It costs
the contestants' processes nothing, limits no throughput (pieces wait side by side), and keeps the order.
"""

from __future__ import annotations

import contextlib
import ctypes
import select
import socket
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TextIO

ROUND_TRIP = 0.0002  # seconds; what hosts of one data centre usually have between them
PIECE = 1 << 18  # bytes that are read at once
HELD = 1 << 24  # bytes of one direction that are on their way at most
OWN = 0.00004  # seconds that a piece takes besides: the relay wakes up when it comes, and again when it is due
PINGS = 3000
PR_SET_TIMERSLACK = 29


class Way:
    """One direction of a connection."""

    def __init__(self, source: socket.socket, sink: socket.socket, begin: float, delay: float) -> None:
        self.source, self.sink = source, sink
        self.begin = begin  # until then the handshake of a real network would last
        self.delay = delay
        self.pieces: deque[tuple[float, memoryview]] = deque()
        self.held = 0
        self.open = True  # for more to read
        self.stuck = False  # the sink takes no more for now

    def read(self) -> None:
        """Take what has come; an empty piece is the end."""
        try:
            piece = self.source.recv(PIECE)
        except BlockingIOError:
            return
        except ConnectionError:
            piece = b""
        self.open = bool(piece)
        self.held += len(piece)
        self.pieces.append((max(time.monotonic(), self.begin) + self.delay, memoryview(piece)))

    def pass_on(self) -> float | None:
        """Send what is due; the time at which the next piece is."""
        while self.pieces and not self.stuck:
            due, piece = self.pieces[0]
            if due > time.monotonic():
                return due
            try:
                self._send(due, piece)
            except BlockingIOError:
                self.stuck = True
            except OSError:  # it is closed: nobody wants the rest
                self.open = False
                self.pieces.clear()
        return None

    def _send(self, due: float, piece: memoryview) -> None:
        if piece:
            sent = self.sink.send(piece)
        else:
            self.sink.shutdown(socket.SHUT_WR)
            sent = 0
        self.held -= sent
        if sent < len(piece):
            self.pieces[0] = (due, piece[sent:])
        else:
            self.pieces.popleft()

    @property
    def over(self) -> bool:
        """Nothing will come, and all is sent."""
        return not self.open and not self.pieces


class Relay:
    """All connections, in one loop."""

    def __init__(self, target: tuple[str, int], round_trip: float) -> None:
        self.target = target
        self.round_trip = round_trip
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.links: list[tuple[Way, Way]] = []

    def accept(self) -> None:
        """A connection, and one to the server for it."""
        client, _address = self.listener.accept()
        try:
            server = socket.create_connection(self.target)
        except OSError:
            client.close()
            return
        for end in (client, server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        now, half = time.monotonic(), self.round_trip / 2
        delay = max(0.0, half - OWN)
        there = Way(client, server, now + 2 * half, delay)
        back = Way(server, client, now + 3 * half, delay)
        self.links.append((there, back))

    def serve(self) -> None:
        """Until standard input ends, as it does with the process that wanted this one."""
        ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1)  # else a wait lasts 50 microseconds longer
        print(self.listener.getsockname()[1], flush=True)
        while True:
            ways = list(chain.from_iterable(self.links))
            dues = [due for way in ways if (due := way.pass_on()) is not None]
            self._close()
            sources = {way.source: way for way in ways if way.open and way.held < HELD}
            sinks = {way.sink: way for way in ways if way.stuck}
            wait = max(0.0, min(dues) - time.monotonic()) if dues else None
            inputs: list[TextIO | socket.socket] = [sys.stdin, self.listener, *sources]
            ready, writable, _ = select.select(inputs, list(sinks), [], wait)
            for sink in writable:
                sinks[sink].stuck = False
            if sys.stdin in ready:
                return
            if self.listener in ready:
                self.accept()
            for source in sources.keys() & set(ready):
                sources[source].read()

    def _close(self) -> None:
        for link in [link for link in self.links if link[0].over and link[1].over]:
            self.links.remove(link)
            for way in link:
                way.source.close()


@contextlib.contextmanager
def delayed(host: str, port: int, round_trip: float = ROUND_TRIP) -> Iterator[int]:
    """``with delayed("127.0.0.1", server.port) as port:`` a port of this host that leads there across a network."""
    command = [sys.executable, __file__, host, str(port), str(round_trip)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        with process.stdin:
            yield int(process.stdout.readline())


def _echo(listener: socket.socket) -> None:
    connection, _address = listener.accept()
    with connection:
        while piece := connection.recv(1):
            connection.sendall(piece)


def _ping(port: int) -> float:
    """Milliseconds that a byte takes to a server and back, in the median."""
    times = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(PINGS):
            begin = time.perf_counter()
            connection.sendall(b"?")
            connection.recv(1)
            times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1000


def remark() -> str:
    """What a reader must know about lines that are measured across it, with a round trip measured now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = []
        for through in (contextlib.nullcontext(port), delayed("127.0.0.1", port)):
            with through as entry, ThreadPoolExecutor(1) as pool:
                pool.submit(_echo, listener)
                found.append(_ping(entry))
    return (
        "*Across a network* is through a relay on this machine that makes a round trip last"
        f" {found[1]:.2f} ms, as one between two hosts of a data centre does, instead of {found[0]:.3f} ms on loopback"
        f" (a byte sent and echoed, median of {PINGS:,}, in the same run); it limits no throughput."
    )


def main(host: str, port: str, round_trip: str) -> None:
    """Relay what comes to a new port, which is the first line of the output."""
    Relay((host, int(port)), float(round_trip)).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
