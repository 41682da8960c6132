# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx: which requests that began before the block are still running, by php-fpm or, without it, by stub_status?"""

from __future__ import annotations

import re

from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.backend import FolderBackend

# php-fpm's full status: a head, then a part per process. What a visitor sends stands behind these two lines.
PROCESS = re.compile(r"^pid: +\d+\nstate: +(.+)\n(?:.+\n)*?request duration: +(\d+)$", re.MULTILINE)
WAITING = re.compile(r"^listen queue: +(\d+)$", re.MULTILINE)
STUB = re.compile(r"^Active connections: \d+.*Reading: (\d+) Writing: (\d+) Waiting: \d+", re.DOTALL)


class Nginx(FolderBackend):
    """The nginx of this host, and the php-fpm behind it."""

    def in_flight(self, elapsed: float) -> int:
        """A blocked request never gets to php-fpm, so that what runs there longer than the block began before it.

        nginx itself only counts, the request that asks included.
        """
        body = self.status()
        waiting = WAITING.search(body)
        if waiting:
            durations = [int(micro) / 1e6 for state, micro in PROCESS.findall(body) if state != "Idle"]
            return int(waiting.group(1)) + len([duration for duration in durations if duration >= elapsed])
        counted = STUB.match(body)
        if counted:
            return max(0, int(counted.group(1)) + int(counted.group(2)) - 1)
        raise self.no_status("neither php-fpm's status nor nginx's")
