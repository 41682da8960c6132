# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deltas that were begun and never brought to their end: no release fits a database that has one."""

from __future__ import annotations

import typing as t

Database = t.Mapping[str, t.Any]  # what dbdeploy answered in check mode, empty where there are no deltas
Half = t.Dict[str, t.Any]
UNDO = " -e rollback_undo=true"


def halves(database: Database) -> list[Half]:
    """Those that ``database`` names, be it in an answer or in a refusal."""
    return list(database.get("unfinished") or [])


def undone_half(database: Database) -> bool:
    """Whether one was cut off in its undo part."""
    return any(one["direction"] == "undo" for one in halves(database))


def half_words(one: Half) -> str:
    """How far it is."""
    way = f"delta {one['number']} is {'undone' if one['direction'] == 'undo' else 'applied'} half way"
    return f"{way}, and of one statement nobody knows whether it took effect" if one["unknown"] else way


def unfit(database: Database, release: str, left: str, *, undo: bool, undo_to: int) -> list[str]:
    """Why the site must not be opened on ``release`` with this database, and the ways out."""
    if not database:
        return []
    if "unfinished" not in database:
        said = database.get("msg") or "It did not answer."
        found = [f"Whether a delta is half applied, the database does not tell. {said}"]
    else:
        found = [
            f"{half_words(one).capitalize()}. {_way_out(one, left, undo=undo)}"
            for one in halves(database)
            if not (
                undo and one["direction"] == "undo" and one["number"] > undo_to
            )  # which this very rollback finishes
        ]
    aside = f"Only where {release} works with the database as it is: -e deploy_deltas= goes back without a look at it."
    return [*found, aside] if found else []


def _way_out(one: Half, left: str, *, undo: bool) -> str:
    if one["direction"] == "do":
        finish = f"Mend what stopped it and deploy {left} again, which finishes it."
        return f"Its undo part undoes a whole one. {finish}" if undo else finish
    if not undo:
        return f"Finish that with{UNDO}."
    return f"Finish that with lamp.cluster.dbdeploy (state=undone, to={one['number'] - 1}), then deploy."
