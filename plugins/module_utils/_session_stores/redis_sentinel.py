# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The primary that sentinels name, which may be another one before a purge is done."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import Simple, Tally
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.addresses import Address
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.redis_server import Redis, failure

try:
    import redis.exceptions
    import redis.sentinel
except ImportError:
    redis = None  # type: ignore[assignment]

FAILOVER = 30  # seconds that one may take; most are over in two or three
MOVES = 5  # so often a purge follows the primary
# Milliseconds for replicas to do as the primary did. One that was promoted does not; all sentinels know of it by then.
REPLICATED = 3000


class Sentinels:
    """Who know the servers of one service. All that they do not answer is a LampError."""

    def __init__(self, servers: t.Sequence[Address], service: str, options: dict[str, t.Any]) -> None:
        self.name = f"redis {', '.join(map(str, servers))}"
        self.service = service
        places = [(address.host, address.port) for address in servers]
        self.all = redis.sentinel.Sentinel(places, sentinel_kwargs=options)

    def primary(self) -> Address:
        """Who it is; in a failover, who it is after that: its sessions are written there at once.

        :raises LampError: ``session_purge_unreachable``, ``session_purge_denied``, ``session_purge_failed``
        """
        end = time.monotonic() + FAILOVER
        while True:
            with self._named_errors():
                self.all.discover_master(self.service)  # there is one who sees it up
                state = self._first.sentinel_masters().get(self.service)
            if state and "failover_in_progress" not in state["flags"]:
                return Address(state["ip"], int(state["port"]))
            if time.monotonic() > end:
                raise LampError(
                    "session_purge_failed",
                    f"{self.name} has been changing the primary of {self.service} for {FAILOVER} seconds.",
                    "Run it again when the sentinels are done (SENTINEL MASTERS).",
                )
            time.sleep(0.2)

    def replicas(self) -> int:
        """How many of them are up and hear from the primary, as far as this user may know."""
        states: list[dict[str, t.Any]] = []
        with self._named_errors(), contextlib.suppress(redis.exceptions.NoPermissionError):
            states = self._first.sentinel_slaves(self.service)
        return sum(state["master-link-status"] == "ok" and not state["is_sdown"] for state in states)

    @property
    def _first(self) -> t.Any:
        """The one who named the primary: the library puts it first."""
        return self.all.sentinels[0]

    @contextlib.contextmanager
    def _named_errors(self) -> t.Iterator[None]:
        try:
            yield
        except redis.exceptions.RedisError as error:
            raise failure(error, self.name) from error


class Primary(Simple):
    """The sessions on the primary of the moment.

    A failover leaves on the new one what had not yet been removed there, and takes the sessions of the old one away
    with it, which goes on answering as if nothing had happened until it is made a replica.
    """

    def __init__(self, sentinels: Sentinels, connect: t.Callable[[Address], Redis]) -> None:
        self.sentinels = sentinels
        self.connect = connect
        self._turn_to(sentinels.primary())

    def _turn_to(self, address: Address) -> None:
        self.address = address
        self.server = self.connect(address)
        self.name = self.server.name

    def begin(self, check: bool) -> dict[str, t.Any]:
        """See whether the server would let this user remove sessions."""
        return self.server.begin(check)

    def count(self) -> Tally:
        """What is on the one that is the primary when it has been counted."""
        return self._follow(remove=False)

    def purge(self) -> Tally:
        """One pass over the primary, and over the next one, if it is another meanwhile."""
        return self._follow(remove=True)

    def _follow(self, remove: bool) -> Tally:
        """Look at the primary until it is the same one before and after.

        :raises LampError: ``session_purge_failed``, and as the server fails that is the primary all the same
        """
        removed: Tally | None = None
        for _move in range(MOVES):
            lost = None
            try:
                found = self._look(remove)
            except LampError as error:
                lost = error
                found = Tally(0, 0)
            address = self.sentinels.primary()
            if removed:
                found = _together(removed, found)
            if address == self.address:
                if lost:
                    raise lost
                return found
            if remove:
                removed = found
            self._turn_to(address)
        raise LampError(
            "session_purge_failed",
            f"{self.sentinels.name} named another primary of {self.sentinels.service} {MOVES} times, lately"
            f" {self.address}.",
            "Run it again when the sentinels agree (SENTINEL MASTERS).",
        )

    def _look(self, remove: bool) -> Tally:
        """:raises LampError: also where the server has become a replica, which goes on being read"""
        found = self.server.purge() if remove else self.server.count()
        if remove and not (found.selected or found.beside):
            self.server.replicate(self.sentinels.replicas(), REPLICATED)
        self.server.begin(check=True)
        return found


def _together(before: Tally, found: Tally) -> Tally:
    """What was removed in all, of what there was now and what was removed before; both may be the same sessions."""
    return found._replace(
        total=before.selected + found.total,
        selected=before.selected + found.selected,
        beside=before.beside + found.beside,
        exact=False,
    )
