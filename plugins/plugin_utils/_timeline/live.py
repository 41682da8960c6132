# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One line at the foot of a terminal that is rewritten in place, and steps aside for whatever else is printed."""

from __future__ import annotations

import contextlib
import os
import threading
import typing as t

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ERASE = "\r\x1b[K"


class LiveLine:
    """Draws what ``render`` returns until it is told otherwise.

    ``lock`` is the lock that Ansible itself holds while it forks a worker: no worker is ever born with half a line in
    its buffer, or with a lock that nobody will release.
    """

    def __init__(
        self, stream: t.TextIO, lock: t.ContextManager[t.Any], columns: t.Callable[[], int], interval: float = 0.12
    ):
        self._stream = stream
        self._lock = lock
        self._columns = columns
        self._interval = interval
        self._render: t.Callable[[int], str] | None = None
        self._drawn = False
        self._turns = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._owner = os.getpid()

    def show(self, render: t.Callable[[int], str]) -> None:
        """From now on draw what this returns; it is given the width that it may fill."""
        with self._lock:
            self._render = render
            if self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(target=self._tick, name="timeline", daemon=True)
                self._thread.start()

    def hide(self) -> None:
        """Erase the line until the next ``show``."""
        with self._lock:
            self._render = None
            self._erase()

    @contextlib.contextmanager
    def aside(self) -> t.Iterator[None]:
        """Erase the line while somebody else prints; the next tick draws it again beneath."""
        if os.getpid() != self._owner:  # in a worker there is no thread, no line, and the lock is not ours
            yield
            return
        with self._lock:
            self._erase()
            yield

    def stop(self) -> None:
        """Erase the line for good."""
        self._ended.set()
        self.hide()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=1)

    def _tick(self) -> None:
        while not self._ended.wait(self._interval):
            try:
                with self._lock:
                    self._draw()
            except Exception:  # a line that cannot be drawn must not disturb the deploy
                self._render = None
                return

    def _draw(self) -> None:
        if self._render is None or self._ended.is_set():
            return
        self._turns += 1
        line = self._render(max(10, self._columns() - 3))
        self._stream.write(f"{_ERASE}{SPINNER[self._turns % len(SPINNER)]} {line}")
        self._stream.flush()
        self._drawn = True

    def _erase(self) -> None:
        if self._drawn:
            self._drawn = False
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(_ERASE)
                self._stream.flush()
