# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx: which requests that began before the block are still running, by php-fpm or, without it, by stub_status?"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.backend import FolderBackend

# php-fpm's full status: a head, then a part per process. What a visitor sends stands behind these two lines.
PROCESS = re.compile(r"^pid: +(\d+)\nstate: +(.+)\n(?:.+\n)*?requests: +(\d+)\nrequest duration: +(\d+)$", re.MULTILINE)
WAITING = re.compile(r"^listen queue: +(\d+)$", re.MULTILINE)
STUB = re.compile(r"^Active connections: \d+.*Reading: (\d+) Writing: (\d+) Waiting: \d+", re.DOTALL)


class Nginx(FolderBackend):
    """The nginx of this host, and the php-fpm behind it."""

    def __init__(self, *arguments: t.Any) -> None:
        super().__init__(*arguments)
        self._idle: set[tuple[str, str]] = set()
        self._free_after: float | None = None

    def in_flight(self, elapsed: float) -> int:
        """A blocked request never gets to php-fpm, so that what runs there longer than the block began before it.

        nginx itself only counts, the request that asks included.
        """
        body = self.status()
        waiting = WAITING.search(body)
        if waiting:
            return int(waiting.group(1)) + self._running(PROCESS.findall(body), elapsed)
        counted = STUB.match(body)
        if counted:
            return max(0, int(counted.group(1)) + int(counted.group(2)) - 1)
        raise self.no_status("neither php-fpm's status nor nginx's")

    def _running(self, processes: list[tuple[str, str, str, str]], elapsed: float) -> int:
        """Those of php-fpm that work on a request which nginx gave it before the block.

        While all are busy, more of these may wait in the socket, which no status counts (``listen queue`` knows TCP
        alone), and begin late. One that was idle from one look to the next proves that none waits.
        """
        idle = {(pid, requests) for pid, state, requests, _micro in processes if state == "Idle"}
        if self._free_after is None and (idle & self._idle or not processes):
            self._free_after = elapsed
        self._idle = idle
        if self._free_after is None:
            return max(1, len(processes) - len(idle))
        age = elapsed - self._free_after
        return len([1 for _pid, state, _requests, micro in processes if state != "Idle" and int(micro) / 1e6 >= age])
