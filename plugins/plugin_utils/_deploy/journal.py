# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of deploys as all hosts keep it: what happened last, and what is unfinished."""

from __future__ import annotations

import typing as t

Entry = t.Dict[str, t.Any]
Look = t.Dict[str, t.Any]  # what the module deploy_info returned of one host


def entries(looks: t.Mapping[str, Look]) -> list[Entry]:
    """The entries of all hosts, oldest first. A host that was away did not hear how a deploy ended: another tells."""
    known: dict[str, Entry] = {}
    for look in looks.values():
        for entry in look["journal"]:
            there = known.get(entry["id"])
            if there is None or (entry.get("finished", True) and not there.get("finished", True)):
                known[entry["id"]] = entry
    return [known[name] for name in sorted(known)]


def unfinished(looks: t.Mapping[str, Look]) -> Entry:
    """The last entry, if what it tells of was begun and neither came to its end nor was put back; else empty."""
    told = entries(looks)
    return told[-1] if told and not told[-1].get("finished", True) else {}


def owing(looks: t.Mapping[str, Look]) -> Entry:
    """The last entry, if what a session drop put aside is still to be removed since then; else empty."""
    told = entries(looks)
    return told[-1] if told and told[-1].get("leftovers") else {}


def blocked_by(looks: t.Mapping[str, Look], owner: str = "") -> list[str]:
    """The hosts on which the site is blocked, by ``owner`` where one is given."""
    return [
        host for host, look in looks.items() if look["block"] and (not owner or look["block"].get("owner") == owner)
    ]
