# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server process on loopback: started with a folder of its own, awaited, ended by its process id."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pymysql


def free_port() -> int:
    """A TCP port that nothing listens on now.

    It is below those that the kernel gives to connections: one of these could take it before the server does.
    """
    while True:
        port = random.randrange(10000, 32000)  # noqa: S311 (no secret)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(condition: Callable[[], object], what: str, seconds: float = 180.0) -> None:
    """Return once ``condition`` is true; one that cannot be asked, or has no such table, means not yet.

    :raises TimeoutError: naming ``what``
    """
    deadline = time.monotonic() + seconds
    while True:
        met: Exception | None = None
        try:
            if condition():
                return
        except (OSError, pymysql.err.MySQLError) as error:
            met = error
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds} s") from met
        time.sleep(0.02)


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def answers_http(port: int) -> bool:
    """Whether a web server answers there, with whatever status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status > 0
    except http.client.HTTPException:
        return False
    finally:
        connection.close()


class Server:
    """Base of the servers: subclasses give ``command()`` and ``ready()``, and prepare their folder in ``prepare()``."""

    name = "server"

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"lamp-{self.name}-"))
        self.folder.chmod(0o755)  # servers that drop root must be able to enter it
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Make the server's data; called once, before its first start."""

    def command(self) -> list[str]:
        """The command line of the server, which must stay in the foreground."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether the server answers."""
        return listens(self.port)

    @property
    def log(self) -> Path:
        """Where the server's standard output and error go."""
        return self.folder / "server.log"

    def start(self) -> None:
        """Start the process and return when it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        process = self.process

        def answers() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {process.returncode}: {self.log.read_text()[-3000:]}")
            return self.ready()

        wait_until(answers, f"the start of {self.name}")

    def revive(self) -> None:
        """Start it again if it has ended by itself, and tell what it said."""
        if self.process is not None and self.process.poll() is not None:
            said = self.log.read_text()[-3000:]
            warnings.warn(f"{self.name} ended with {self.process.returncode}: {said}", stacklevel=2)
            self.start()

    def kill(self) -> None:
        """Power-off: SIGKILL to the server and its children."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
            # Its children end a little later: one that still listens would be taken for the next start.
            wait_until(lambda: not listens(self.port), f"the end of {self.name}")

    def stop(self) -> None:
        """An orderly end; SIGKILL after ten seconds."""
        if self.process is not None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=10)
            self.kill()

    def __enter__(self) -> Self:
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.__exit__()  # what did not start in full must not be left behind
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
