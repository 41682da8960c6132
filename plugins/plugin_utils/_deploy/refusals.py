# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a deploy or a rollback is not carried out, and what to do instead, in words."""

from __future__ import annotations

import typing as t

from .journal import Look, last


def rejected(looks: t.Mapping[str, Look], release: str) -> dict[str, str]:
    """The hosts on which the release is marked, with the reason."""
    return {
        host: known["rejected"]
        for host, look in looks.items()
        for known in look["releases"]
        if known["release"] == release and known["rejected"]
    }


def undecided(looks: t.Mapping[str, Look], taken_over: str) -> list[str]:
    """Where nothing says which release a rollback leaves: to guess is to leave a good one for good."""
    live = list(dict.fromkeys(look["current"] for look in looks.values() if look["current"]))
    if len(live) > 1:
        runs = "; ".join(f"{host} {look['current'] or 'none'}" for host, look in looks.items())
        return [
            f"The web hosts run different releases: {runs}. Name the one that all of them are to run with -e"
            " rollback_release=ID, or go back on some of them alone with --limit."
        ]
    told = last(looks)
    if taken_over and told.get("kind") == "rollback" and told.get("finished"):
        return [
            f"The lock was left behind by {taken_over}, and the last rollback, to release {told['release']}, has come"
            " to its end: nothing can be left of it but its hook after_record. To go further back, name a release with"
            " -e rollback_release=ID."
        ]
    return []


def no_way_back(looks: t.Mapping[str, Look], target: str) -> list[str]:
    """Where the hosts cannot run the release that is gone back to, or are not to."""
    if not target:
        return ["There is no earlier good release on the web hosts. Deploy one instead."]
    if target.startswith("/"):
        return [
            f"What was live before is no release of this collection, but the folder {target}. Finish the deploy; or, if"
            " that code works with the database as it is, have current lead there by hand on each web host, and open"
            " the site with lamp.cluster.maintenance (maintenance_state=disabled, maintenance_force=true)."
        ]
    missing = [host for host, look in looks.items() if target not in [known["release"] for known in look["releases"]]]
    if missing:
        good = set.intersection(
            *({known["release"] for known in look["releases"] if not known["rejected"]} for look in looks.values())
        ) - {look["current"] for look in looks.values()}
        named = f"name another with -e rollback_release=ID (on all hosts: {', '.join(sorted(good))}), " if good else ""
        where = ", ".join(missing)
        return [
            f"Release {target} is not on {where}. Deploy its code, which brings it to all hosts; {named}or take {where}"
            " out of the inventory and of the load balancer, go back, and deploy there later."
        ]
    bad = rejected(looks, target)
    if bad:
        return [
            f"Release {target} is itself marked as one not to come back to ({next(iter(bad.values()))}). Name another"
            " with -e rollback_release=ID, or deploy."
        ]
    return []


def not_undone(target: str, undo_to: int, unseen: list[int]) -> list[str]:
    """What is undone is what is above the release's last delta: that must not be everything, nor less than it lacks."""
    if not undo_to:  # its folder may have another name; to undo all deltas may be to drop all tables
        return [
            f"Release {target} has no deltas in deploy_deltas, so that all deltas of the database would be undone. Go"
            " back without rollback_undo, and undo deltas with lamp.cluster.dbdeploy, to a number that you know."
        ]
    late = [number for number in unseen if number < undo_to]
    if late:
        return [
            f"Release {target} has never seen {numbers(late)}, which came late: below its own delta {undo_to}, and"
            " only what is above that is undone. Go back without rollback_undo if the older code can work with the"
            " schema, or write a delta that takes it back, and deploy."
        ]
    return []


def undone_elsewhere(looks: t.Mapping[str, Look], live: str, undo_to: int) -> list[str]:
    """A rollback undoes by the files of the release that it leaves, and that one was left before."""
    left = last(looks)["left"]
    return [
        f"Release {live} is live already, and the rollback to it left the deltas of release {left} as they were. Undo"
        f" them with lamp.cluster.dbdeploy (state=undone, to={undo_to}) by the files of release {left}; where that was"
        " done, nothing is left to do. To go further back, name a release with -e rollback_release=ID."
    ]


def numbers(deltas: list[int]) -> str:
    return f"delta{'s' if len(deltas) > 1 else ''} {', '.join(map(str, deltas))}"
