# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The primary that sentinels name."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.addresses import Address
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.redis_moving import Primaries
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.redis_server import Redis, named_errors

try:
    import redis.exceptions
    import redis.sentinel
except ImportError:
    redis = None  # type: ignore[assignment]

FAILING_OVER = "failover_in_progress"
FAILOVER = 30  # seconds that one may take; most are over in two or three


class Sentinels:
    """Who know the servers of one service. All that they do not answer is a LampError."""

    def __init__(
        self,
        servers: t.Sequence[Address],
        service: str,
        options: dict[str, t.Any],
        connect: t.Callable[[Address], Redis],
    ) -> None:
        self.name = f"redis {', '.join(map(str, servers))}"
        self.service = service
        places = [(address.host, address.port) for address in servers]
        self.connect = connect
        self.all = redis.sentinel.Sentinel(places, sentinel_kwargs=options)

    def primaries(self) -> Primaries:
        """There is one, which has all keys.

        :raises LampError: ``session_purge_unreachable``, ``session_purge_denied``, ``session_purge_failed``
        """
        return {self._primary(): ()}

    def _primary(self) -> Address:
        """Who it is; in a failover, who it is after that: its sessions are written there at once."""
        end = time.monotonic() + FAILOVER
        while True:
            with named_errors(self.name):
                try:
                    self.all.discover_master(self.service)  # there is one who sees it up
                    state = self._first.sentinel_masters().get(self.service)
                except redis.sentinel.MasterNotFoundError:
                    state = self._replaced()
                    if not state:
                        raise
            if state and FAILING_OVER not in state["flags"]:
                return Address(state["ip"], int(state["port"]))
            if time.monotonic() > end:
                raise LampError(
                    "session_purge_failed",
                    f"{self.name} has been changing the primary of {self.service} for {FAILOVER} seconds.",
                    "Run it again when the sentinels are done (SENTINEL MASTERS).",
                )
            time.sleep(0.2)

    def _replaced(self) -> t.Dict[str, t.Any] | None:
        """What is known of one that is down, while another one takes its place."""
        for sentinel in self.all.sentinels:
            with contextlib.suppress(redis.exceptions.RedisError):
                state: t.Dict[str, t.Any] | None = sentinel.sentinel_masters().get(self.service)
                if state and FAILING_OVER in state["flags"]:
                    return state
        return None

    def replicas(self, _address: Address) -> int:
        """How many of them are up and hear from the primary, as far as this user may know."""
        states: list[dict[str, t.Any]] = []
        with named_errors(self.name), contextlib.suppress(redis.exceptions.NoPermissionError):
            states = self._first.sentinel_slaves(self.service)
        return sum(state["master-link-status"] == "ok" and not state["is_sdown"] for state in states)

    @property
    def _first(self) -> t.Any:
        """The one who named the primary: the library puts it first."""
        return self.all.sentinels[0]
