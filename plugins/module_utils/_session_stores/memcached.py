# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in Memcached, as php-memcached, Symfony and their like write them."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import Simple, Tally, addresses
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.memcached_client import (
    Binary,
    Item,
    Text,
    failed,
)
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.selection import (
    Names,
    Selection,
    lifetime_of,
    names_on_server,
    no_lifetime,
)

LOCK = "lock."  # php-memcached: between the prefix and the id


class Memcached(Simple):
    """The sessions on one server."""

    ABLE = frozenset({"keep_ids", "older_than"})

    def __init__(self, params: dict[str, t.Any], address: addresses.Address, names: Names) -> None:
        self.params = params
        self.address = address
        self.name = f"memcached {address}"
        self.selection = Selection(params, self.ABLE)
        self.names = names
        self.locks = Names(names.prefix.decode() + LOCK, names.pattern)
        self.flushed = False
        self.before: int | None = None  # by the server's clock: a session that was used earlier is old enough
        self.dedicated = params["dedicated"] and self.selection.everything
        if params["sasl"] and not self.dedicated:
            raise LampError(
                "session_purge_sasl_lists_nothing",
                f"{self.name} with SASL speaks the binary protocol alone, in which no server lists its keys.",
                "Set dedicated if all that is there are sessions: they are then flushed. Nothing was purged.",
            )
        self.lifetime = lifetime_of(params)
        if self.selection.older_than is not None and self.lifetime is None:
            raise no_lifetime("Memcached does not record each use of an item, only when it ends. Nothing was purged")

    def begin(self, check: bool) -> dict[str, t.Any]:
        """See whether the server would let itself be flushed."""
        if self.dedicated:
            with contextlib.closing((Binary if self.params["sasl"] else Text)(self.address, self.params)) as client:
                if client.stats(b"settings").get(b"flush_enabled") == b"no":
                    raise failed(self.address, "it was started with -F and refuses flush_all; set dedicated to false")
        return {}

    def count(self) -> Tally:
        """Sessions, by their names; all items of a dedicated server."""
        return self._flush(remove=False) if self.dedicated else self._walk(remove=False)

    def purge(self) -> Tally:
        """Delete what one walk through the keys finds."""
        return self._flush(remove=True) if self.dedicated else self._walk(remove=True)

    def _walk(self, remove: bool) -> Tally:
        sessions = locks = kept = ignored = 0
        lister, deleter = Text(self.address, self.params), Text(self.address, self.params)
        with contextlib.closing(lister), contextlib.closing(deleter):
            for names, young in self._pages(lister):
                doomed = []
                for name in names:
                    owner = self.locks.id_of(name)
                    session = self.names.id_of(name) if owner is None else None
                    if owner is None and session is None:
                        ignored += 1
                    elif (owner or session) in self.selection.keep_ids or name in young:
                        kept += session is not None
                    else:
                        doomed.append(name)
                        locks += owner is not None
                        sessions += session is not None
                if remove and doomed:
                    self._delete(deleter, doomed)
            if deleter.ask(b"version").split(b" ")[0] != b"VERSION":  # answered after all that was sent before
                raise failed(self.address, "it did not take the deletions")
        return Tally(sessions + kept, sessions, beside=locks, ignored=ignored)

    def _pages(self, lister: Text) -> t.Iterator[tuple[list[bytes], t.Collection[bytes]]]:
        """Names, some at a time, and which of them are not old enough."""
        if self.selection.older_than is None:
            for names in lister.listing(self.names.prefix):
                yield names, ()
            return
        if self.before is None:
            self.before = lister.now() - self.selection.older_than
        for items in lister.listing_of_times(self.names.prefix):
            yield [item.name for item in items], {item.name for item in items if not self._is_old(item, self.before)}

    def _is_old(self, item: Item, before: int) -> bool:
        """Whether it was last used that early: written, or put off its end. One without an end may have been, later.

        A lock is neither but when it is taken, and its end is another matter.
        """
        if self.locks.id_of(item.name) is not None:
            return item.used < before
        return item.end >= 0 and max(item.used, item.end - (self.lifetime or 0)) < before

    def _delete(self, client: Text, names: list[bytes]) -> None:
        for name in names if self.params["id_pattern"] else ():
            if len(name.split()) != 1:
                raise failed(self.address, f"the name {self.names.shown(name)!r} cannot be said in the text protocol")
        client.send(b"".join([b"delete %s noreply\r\n" % name for name in names]))

    # -- servers that hold sessions alone

    def _flush(self, remove: bool) -> Tally:
        """Flush, where there is anything. The number of items includes those that have expired: it is not exact."""
        if self.flushed and self.params["leftovers"] == "leave":
            found = 0  # to look again would take as long as there were items
        elif self.params["sasl"]:
            found = self._flush_blindly(remove)
        else:
            with contextlib.closing(Text(self.address, self.params)) as client:
                found = client.items() if self._lists_any() else 0  # what was flushed still counts, and is not listed
                if remove and found:
                    if client.ask(b"flush_all") != b"OK":
                        raise failed(self.address, "it refused flush_all")
                    self.flushed = True
        return Tally(found, found, exact=False)

    def _lists_any(self) -> bool:
        with contextlib.closing(Text(self.address, self.params)) as client:
            return any(client.listing(b""))

    def _flush_blindly(self, remove: bool) -> int:
        """Flush without a list: once it is done, nothing is left."""
        if self.flushed:
            return 0
        with contextlib.closing(Binary(self.address, self.params)) as server:
            found = server.items()
            if remove and found:
                server.flush()
                self.flushed = True
        return found


def stores(params: dict[str, t.Any]) -> list[Memcached]:
    """The servers, each a place of its own."""
    names = names_on_server(params)
    return [Memcached(params, address, names) for address in addresses.parse(params["servers"] or ["127.0.0.1"], 11211)]
