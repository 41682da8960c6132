# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stores that sessions live in, one a file, behind one small interface."""

from __future__ import annotations

import typing as t

COUNTED = 10000  # sessions, or names in a folder: counting stops there where it must take a constant time


def number_of(sessions: int) -> str:
    """So many sessions, in words."""
    return f"{sessions} session{'' if sessions == 1 else 's'}"


class Tally(t.NamedTuple):
    """What one look at a store found, or what one pass did to it."""

    total: int  # sessions there were
    selected: int  # of them, those that the purge is about; after a pass, those that it removed
    beside: int = 0  # what goes along with them and is none: locks, variables of sessions that are gone
    ignored: int = 0  # names that begin as a session's does and are none: left alone, and reported
    exact: bool = True  # whether all were counted, or counting stopped at a limit


class Store(t.Protocol):
    """One place that holds sessions: a table, a folder, a server. What cannot be removed raises a LampError."""

    name: str  # for messages and diffs

    def begin(self, check: bool) -> dict[str, t.Any]:
        """End sessions at once, whatever requests in flight still write; called once, before the first pass.

        :returns: what it changed (or with ``check`` would change), as keys of the result
        """

    def count(self) -> Tally:
        """What is there now."""

    def purge(self) -> Tally:
        """Remove sessions, once over."""

    def sweep(self, remove: bool) -> int:
        """Remove (or only count) the sessions that earlier purges put aside."""


class Simple:
    """Base of the stores in which ending sessions and removing them is one: nothing to begin with, nothing aside."""

    def begin(self, check: bool) -> dict[str, t.Any]:
        """Nothing."""
        return {}

    def sweep(self, remove: bool) -> int:
        """Nothing is ever put aside."""
        return 0
