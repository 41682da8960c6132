# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real ``mariadb`` client, connected to a server that only writes down what it gets."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import threading
from typing import Self

CAPABILITIES = 0x1 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x10000 | 0x20000 | 0x80000
GREETING = (
    b"\x0a5.5.5-10.11.0-MariaDB\0" + struct.pack("<I", 1) + b"saltsalt\0" + struct.pack("<H", CAPABILITIES & 0xFFFF)
    + b"\x2d" + struct.pack("<HH", 2, CAPABILITIES >> 16) + b"\x15" + b"\0" * 10 + b"saltsaltsalt\0"
    + b"mysql_native_password\0"
)  # fmt: skip
QUERY, QUIT = 3, 1
NO_BACKSLASH_ESCAPES, ANSI_QUOTES = 0x200, 0x8000  # in the status that goes with each answer
MODE = re.compile(r"\s*SET sql_mode='(\w*)'\s*")


class RecordingServer:
    """``server.received(script)``: the statements that the client sends of a script, whatever they are."""

    def __enter__(self) -> Self:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.texts: list[str] = []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()

    def received(self, script: str) -> list[str]:
        """What the client sends of ``script``."""
        self.texts = []
        subprocess.run(
            ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{self.port}", "-uroot", "--protocol=tcp"],
            input=script.encode(), check=False, capture_output=True, timeout=60,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        )  # fmt: skip
        return self.texts

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                self._talk(connection, stream)

    def _talk(self, connection: socket.socket, stream: object) -> None:
        status = 2
        connection.sendall(_packet(0, GREETING))
        _read(stream)
        connection.sendall(_packet(2, _ok(status)))
        while True:
            body = _read(stream)
            if not body or body[0] == QUIT:
                return
            if body[0] == QUERY:
                text = body[1:].decode()
                self.texts.append(text)
                mode = MODE.fullmatch(text)
                if mode:
                    modes = {"ANSI_QUOTES": ANSI_QUOTES, "NO_BACKSLASH_ESCAPES": NO_BACKSLASH_ESCAPES}
                    status = 2 | modes.get(mode.group(1), 0)
            connection.sendall(_packet(1, _ok(status)))


def _packet(sequence: int, body: bytes) -> bytes:
    return struct.pack("<I", len(body))[:3] + bytes([sequence]) + body


def _ok(status: int) -> bytes:
    return b"\0\0\0" + struct.pack("<HH", status, 0)


def _read(stream: object) -> bytes:
    read = stream.read  # type: ignore[attr-defined]
    head = read(4)
    return bytes(read(int.from_bytes(head[:3], "little"))) if len(head) == 4 else b""
