# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The purge itself: count, remove, repeat until a pass over all places finds none."""

from __future__ import annotations

import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import Store, Tally, number_of

PASSES = 10  # a store that still gains sessions after that many passes is not blocked


class Counts:
    """What a purge did to one place, or would do."""

    def __init__(self, first: Tally) -> None:
        self.before = first.total
        self.purged = first.selected
        self.after = first.total - first.selected
        self.beside = first.beside
        self.ignored = first.ignored
        self.exact = first.exact

    def add(self, tally: Tally) -> None:
        """Another pass."""
        self.purged += tally.selected
        self.beside += tally.beside
        self.after = tally.total - tally.selected
        self.exact = self.exact and tally.exact


def _empty(stores: t.Sequence[Store]) -> list[Counts]:
    """:raises LampError: ``session_purge_not_blocked``"""
    counts = [Counts(store.purge()) for store in stores]
    for _pass in range(PASSES):
        tallies = [store.purge() for store in stores]
        for count, tally in zip(counts, tallies):
            count.add(tally)
        if not any(tally.selected or tally.beside for tally in tallies):
            return counts
    left = zip(stores, (tally.selected + tally.beside for tally in tallies))
    busy = ", ".join(f"{store.name} ({number})" for store, number in left if number)
    raise LampError(
        "session_purge_not_blocked",
        f"Sessions, or locks of them, keep coming: after {PASSES + 1} passes there were still some in {busy};"
        f" {sum(count.purged for count in counts)} were removed.",
        "Block the site first (lamp.cluster.maintenance).",
    )


def carry_out(stores: t.Sequence[Store], leftovers: str, check: bool) -> dict[str, t.Any]:
    """Purge the places, and remove what earlier purges put aside, as ``leftovers`` says; the module's result."""
    begun: dict[str, t.Any] = {}
    if leftovers != "only":
        for store in stores:
            begun.update(store.begin(check))
    if leftovers == "only":
        counts = [Counts(store.count()._replace(selected=0, beside=0)) for store in stores]
    elif check:
        counts = [Counts(store.count()) for store in stores]
    else:
        counts = _empty(stores)
    swept = 0 if leftovers == "leave" else sum(store.sweep(remove=not check) for store in stores)
    purged = sum(count.purged for count in counts)
    return {
        "changed": bool(begun or purged or swept or any(count.beside for count in counts)),
        "before": sum(count.before for count in counts),
        "purged": purged,
        "after": sum(count.after for count in counts),
        "ignored": sum(count.ignored for count in counts),
        "exact": all(count.exact for count in counts),
        "swept": swept,
        "diff": {
            "before": "".join(f"{store.name}: {number_of(count.before)}\n" for store, count in zip(stores, counts)),
            "after": "".join(f"{store.name}: {number_of(count.after)}\n" for store, count in zip(stores, counts)),
        },
        **begun,
    }
