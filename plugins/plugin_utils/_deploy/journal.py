# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of deploys as all hosts keep it: what happened last, and what is unfinished."""

from __future__ import annotations

import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._deploy_record import Entry, that_changed

Look = t.Dict[str, t.Any]  # what the module deploy_info returned of one host


def entries(looks: t.Mapping[str, Look]) -> list[Entry]:
    """The entries of all hosts, oldest first. A host that was away did not hear how a deploy ended: another tells.

    They come in the order in which they were written. Their ids are times, but of controllers whose clocks may differ.
    """
    known: dict[str, Entry] = {}
    for look in looks.values():
        for entry in look["journal"]:
            there = known.get(entry["id"])
            if there is None or (entry.get("finished", True) and not there.get("finished", True)):
                known[entry["id"]] = entry
    return [known[name] for name in _in_order([[entry["id"] for entry in look["journal"]] for look in looks.values()])]


def _in_order(journals: list[list[str]]) -> list[str]:
    """All names of all journals, each after those that stand before it in any; by themselves where none says."""
    order = []
    left = [names for names in journals if names]
    while left:
        heads = sorted({names[0] for names in left})
        first = next((head for head in heads if not any(head in names[1:] for names in left)), heads[0])
        order.append(first)
        left = [rest for rest in ([name for name in names if name != first] for names in left) if rest]
    return order


def last(looks: t.Mapping[str, Look]) -> Entry:
    """The last entry of a run that changed anything; empty where there is none."""
    return (that_changed(entries(looks)) or [{}])[-1]


def unfinished(looks: t.Mapping[str, Look]) -> Entry:
    """The last entry, if what it tells of was begun and neither came to its end nor was put back; else empty."""
    told = last(looks)
    return told if not told.get("finished", True) else {}


def owing(looks: t.Mapping[str, Look]) -> Entry:
    """The last entry, if what a session drop put aside is still to be removed since then; else empty."""
    told = last(looks)
    return told if told.get("leftovers") else {}


def left_out(looks: t.Mapping[str, Look]) -> list[str]:
    """The hosts that load balancers may leave out since a run that ended without them."""
    return sorted(last(looks).get("left_out", []))


def blocked_by(looks: t.Mapping[str, Look], owner: str = "") -> list[str]:
    """The hosts on which the site is blocked, by ``owner`` where one is given."""
    return [
        host for host, look in looks.items() if look["block"] and (not owner or look["block"].get("owner") == owner)
    ]
