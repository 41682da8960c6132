# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network that benchmarks put between a client and a server carries everything, in order, for many at once."""

from __future__ import annotations

import os
import socket
import socketserver
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest

from tests.benchmark.network import delayed
from tests.support.servers.base import free_port

SIZE = 3_000_000  # more than the buffers of a connection hold


class Answer(socketserver.BaseRequestHandler):
    """All that was sent, once it is known that no more comes; backwards."""

    def handle(self) -> None:
        taken = bytearray()
        while piece := self.request.recv(1 << 16):
            taken += piece
        self.request.sendall(taken[::-1])


class Server(socketserver.ThreadingTCPServer):
    """One at which many may knock at once."""

    request_queue_size = 100


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a server that answers so."""
    with Server(("127.0.0.1", 0), Answer) as answering:
        Thread(target=answering.serve_forever, args=(0.02,), daemon=True).start()
        yield answering.server_address[1]
        answering.shutdown()


def ask(port: int, question: bytes) -> bytes:
    """Send it, say that it is all, and read until the other side says so."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(question)
        connection.shutdown(socket.SHUT_WR)
        answer = bytearray()
        while piece := connection.recv(1 << 16):
            answer += piece
        return bytes(answer)


def test_carries_all_in_order_for_many_at_once(server: int) -> None:
    questions = [os.urandom(SIZE if number % 8 == 0 else number) for number in range(1, 33)]
    with delayed("127.0.0.1", server) as port, ThreadPoolExecutor(len(questions)) as pool:
        answers = list(pool.map(lambda question: ask(port, question), questions))
    assert [answer[::-1] for answer in answers] == questions


def test_who_leaves_does_not_disturb_the_others(server: int) -> None:
    with delayed("127.0.0.1", server) as port:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                connection.sendall(b"x" * 10000)
        assert ask(port, b"still there") == b"ereht llits"


def test_a_server_that_is_not_there_ends_the_connection_alone() -> None:
    with delayed("127.0.0.1", free_port()) as port:
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                assert connection.recv(1) == b""
