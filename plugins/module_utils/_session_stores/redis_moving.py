# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of Redis whose servers may be other ones before a purge is done."""

from __future__ import annotations

import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import Simple, Tally
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.addresses import Address
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.redis_server import Redis

MOVES = 5  # so often a purge follows the primaries
# Milliseconds for replicas to do as the primary did. One that was promoted does not; those who are asked who the
# primaries are know of it by then.
REPLICATED = 3000

Primaries = t.Dict[Address, t.Tuple[int, ...]]


class Guide(t.Protocol):
    """Who knows the primaries. All that it does not answer is a LampError."""

    name: str

    def primaries(self) -> Primaries:
        """Who they are now, each with its share of the keys, where it has no more than that."""

    def connect(self, address: Address) -> Redis:
        """One of those that were named last."""

    def replicas(self, address: Address) -> int:
        """How many hear from it, as far as this user may know."""


class Moving(Simple):
    """The sessions on the primaries of the moment.

    A failover leaves on the new one what had not yet been removed there, and takes the sessions of the old one away
    with it, which goes on answering as if nothing had happened until it is made a replica.
    """

    def __init__(self, guide: Guide) -> None:
        self.guide = guide
        self._turn_to(guide.primaries())

    def _turn_to(self, primaries: Primaries) -> None:
        self.primaries = primaries
        self.servers = {address: self.guide.connect(address) for address in primaries}
        self.name = ", ".join(server.name for server in self.servers.values())

    def begin(self, check: bool) -> dict[str, t.Any]:
        """See whether the servers would let this user remove sessions."""
        for server in self.servers.values():
            server.begin(check)
        return {}

    def count(self) -> Tally:
        """What is on those that are the primaries when it has been counted."""
        return self._follow(remove=False)

    def purge(self) -> Tally:
        """One pass over the primaries, and over the next ones, if they are others meanwhile."""
        return self._follow(remove=True)

    def _follow(self, remove: bool) -> Tally:
        """Look at the primaries until they are the same before and after.

        :raises LampError: ``session_purge_failed``, and as a server fails that is a primary all the same
        """
        removed: Tally | None = None
        for _move in range(MOVES):
            lost = None
            try:
                found = self._look(remove)
            except LampError as error:
                lost = error
                found = Tally(0, 0)
            primaries = self.guide.primaries()
            if removed:
                found = _and_before(removed, found)
            if primaries == self.primaries:
                if lost:
                    raise lost
                return found
            if remove:
                removed = found
            self._turn_to(primaries)
        raise LampError(
            "session_purge_failed",
            f"{self.guide.name} named other primaries {MOVES} times, lately {', '.join(map(str, self.primaries))}.",
            "Run it again when they stay (SENTINEL MASTERS, CLUSTER SLOTS).",
        )

    def _look(self, remove: bool) -> Tally:
        """:raises LampError: also where a server has become a replica, which goes on being read"""
        tallies = [server.purge() if remove else server.count() for server in self.servers.values()]
        total, selected, beside, ignored, exact = zip(*tallies)
        found = Tally(sum(total), sum(selected), sum(beside), sum(ignored), all(exact))
        for address, server in self.servers.items():
            if remove and not (found.selected or found.beside):
                server.replicate(self.guide.replicas(address), REPLICATED)
            server.begin(check=True)
        return found


def _and_before(before: Tally, found: Tally) -> Tally:
    """What was removed in all, of what there was now and what was removed before; both may be the same sessions."""
    return found._replace(
        total=before.selected + found.total,
        selected=before.selected + found.selected,
        beside=before.beside + found.beside,
        exact=False,
    )
