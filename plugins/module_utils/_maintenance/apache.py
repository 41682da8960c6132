# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apache: which requests that began before the block are still running?"""

from __future__ import annotations

import re

from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.backend import FolderBackend

# A row of mod_status: Srv, PID, Acc, M (the worker's mode), CPU, SS (seconds since the request began), …
ROW = re.compile(
    r"<tr><td><b>[^<]*</b></td><td>\d+</td><td>[^<]*</td><td>(?:<b>)?([A-Z])(?:</b>)?\s*</td>"
    r"\s*<td>[^<]*</td><td>(\d+)</td>(.*?)</tr>",
    re.DOTALL,
)
WORKING = "WDG"  # sending a reply, looking up a name, finishing gracefully; R, K, C and L run no application
# But a connection of HTTP/2 is in mode R while the requests in it run, and SS tells since when it has never been idle.
HTTP2 = re.compile(r"<td>h2c?</td>")


class Apache(FolderBackend):
    """The Apache of this host, by its mod_status."""

    def in_flight(self, elapsed: float) -> int:
        """A request to mod_status is itself one that runs. Under load there is always some blocked request being
        answered; what tells it from an old one is its age, which Apache gives in whole seconds.
        """
        ages = [
            int(since)
            for mode, since, rest in ROW.findall(self.status())
            if mode in WORKING or (mode == "R" and HTTP2.search(rest))
        ]
        if not ages:  # a page without rows, as of an Apache whose ExtendedStatus is off, is no proof that nothing runs
            raise self.no_status("it does not even list the request that asks, as with ExtendedStatus Off")
        running = len(ages) - 1
        if running and elapsed >= 1:
            return len([age for age in ages if age >= int(elapsed)])
        return running
