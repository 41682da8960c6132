# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apache: is the snippet in place, and which requests that began before the block are still running?"""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance import probe

# A row of mod_status: Srv, PID, Acc, M (the worker's mode), CPU, SS (seconds since the request began), …
ROW = re.compile(r"<tr><td><b>[^<]*</b></td><td>\d+</td><td>[^<]*</td><td>(?:<b>)?([A-Z])(?:</b>)?\s*</td>")
SINCE = re.compile(r"\s*<td>[^<]*</td><td>(\d+)</td>")
WORKING = "WDG"  # sending a reply, looking up a name, finishing gracefully; R, K, C and L run no application


class Apache:
    """The Apache of this host, by its snippet and its mod_status."""

    def __init__(self, site: str, status_port: int, conf_dir: str) -> None:
        self.snippet = Path(conf_dir) / f"lamp-maintenance-{site}.conf"
        self.status_url = f"http://127.0.0.1:{status_port}/server-status"

    def check_installed(self) -> None:
        """:raises LampError: ``maintenance_not_installed`` where the role has not put its snippet."""
        if not self.snippet.exists():
            raise LampError(
                "maintenance_not_installed",
                f"Apache cannot block this site: {self.snippet} does not exist on this host.",
                "Run the role lamp.cluster.maintenance there once (ansible-playbook lamp.cluster.setup does).",
            )

    def in_flight(self, elapsed: float) -> int:
        """How many requests that began before the block, ``elapsed`` seconds ago, are not answered yet.

        A request to mod_status is itself one that runs. Under load there is always some blocked request being
        answered; what tells it from an old one is its age, which Apache gives in whole seconds.
        """
        try:
            status, _marker, body = probe.get(self.status_url)
        except OSError as error:
            raise self._no_status(str(error)) from error
        if status != 200:
            raise self._no_status(f"status {status}")
        ages = []
        for row in ROW.finditer(body):
            since = SINCE.match(body, row.end())
            if since and row.group(1) in WORKING:
                ages.append(int(since.group(1)))
        running = max(0, len(ages) - 1)
        if running and elapsed >= 1:
            return len([age for age in ages if age >= int(elapsed)])
        return running

    def _no_status(self, reason: str) -> LampError:
        return LampError(
            "maintenance_no_status",
            f"Apache does not tell its running requests at {self.status_url} ({reason}).",
            "Run the role lamp.cluster.maintenance again: it sets that address up.",
        )
