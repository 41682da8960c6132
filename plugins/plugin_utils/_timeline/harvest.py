# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection's modules answered, gathered over all hosts: windows, deltas, sessions, releases."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

BLOCKED, OPEN, UNKNOWN = "blocked", "open", "unknown"
# The phases in which a task of the maintenance module is known to block or to open the site.
_STATE_OF_PHASE = {"block": "enabled", "unblock": "disabled", "recover": "disabled"}


@dataclass
class Window:
    """The time in which one host answered with the maintenance page; ``end`` is missing while it still does."""

    host: str
    start: float
    end: float | None = None
    state: str = BLOCKED
    drained: bool | None = None
    drain_seconds: float | None = None

    def seconds(self, now: float) -> float:
        """How long the host was blocked, or has been."""
        return max(0.0, (now if self.end is None else self.end) - self.start)


@dataclass
class Delta:
    """One delta that was applied, undone or, in check mode, would be."""

    number: str
    name: str
    host: str
    statements: int | None
    seconds: float | None
    verb: str = "applied"
    drops_sessions: bool = False


@dataclass
class Harvest:
    """All that the answers of one run added up to."""

    windows: list[Window] = field(default_factory=list)
    deltas: list[Delta] = field(default_factory=list)
    drop_sessions: bool = False
    purged: dict[str, int] = field(default_factory=dict)
    sessions_after: dict[str, int] = field(default_factory=dict)
    releases: dict[str, dict[str, str]] = field(default_factory=dict)
    switched: bool = False

    def window_of(self, host: str) -> Window | None:
        """The host's last window."""
        return next((window for window in reversed(self.windows) if window.host == host), None)

    def still(self, state: str) -> list[str]:
        """The hosts whose last window was left in this state."""
        last = {window.host: window for window in self.windows}
        return [host for host, window in last.items() if window.state == state]

    def blocked_since(self) -> float | None:
        """When the first of the hosts that are blocked now was blocked."""
        return min((window.start for window in self.windows if window.end is None), default=None)

    def blocked_seconds(self, now: float) -> float | None:
        """From the first block to the last unblock; None where nothing was blocked."""
        if not self.windows:
            return None
        last = max(now if window.end is None else window.end for window in self.windows)
        return max(0.0, last - min(window.start for window in self.windows))


@dataclass
class Answer:
    """One host's answer to one task of this collection."""

    module: str
    host: str
    phase: str
    start: float
    end: float
    result: t.Mapping[str, t.Any]
    failed: bool = False
    check_mode: bool = False
    wanted_state: str = ""


def take(harvest: Harvest, answer: Answer) -> list[Delta]:
    """Add one answer to the harvest; the deltas that are new with it come back."""
    if answer.module == "maintenance":
        _take_maintenance(harvest, answer)
    elif answer.module == "dbdeploy":
        return _take_deltas(harvest, answer)
    elif answer.module == "session_purge":
        _take_purge(harvest, answer)
    elif answer.module == "release":
        _take_release(harvest, answer)
    return []


def _take_maintenance(harvest: Harvest, answer: Answer) -> None:
    if answer.check_mode:
        return
    state = str(answer.wanted_state or answer.result.get("state") or _STATE_OF_PHASE.get(answer.phase, ""))
    window = harvest.window_of(answer.host)
    current = window if window and window.end is None else None
    blocked_for = number(answer.result.get("blocked_seconds"))
    if state == "enabled" and current is None:
        # The host's own clock says it best, and also knows of a window that an earlier run opened.
        start = answer.start if not blocked_for else answer.end - blocked_for
        current = Window(answer.host, start)
        harvest.windows.append(current)
    if current is None and blocked_for and state == "disabled":
        current = Window(answer.host, answer.end - blocked_for)
        harvest.windows.append(current)
    if current is None:
        return
    _note_drain(current, answer.result)
    if answer.failed:
        current.state = UNKNOWN
    elif state == "disabled":
        current.state, current.end = OPEN, answer.end
        if blocked_for:
            current.start = answer.end - blocked_for


def _note_drain(window: Window, result: t.Mapping[str, t.Any]) -> None:
    if isinstance(result.get("drained"), bool):
        window.drained = result["drained"]
    seconds = number(result.get("drain_seconds"))
    if seconds is not None:
        window.drain_seconds = seconds


def _take_deltas(harvest: Harvest, answer: Answer) -> list[Delta]:
    new = []
    for verb in ("applied", "undone"):
        shown = f"would be {verb}" if answer.check_mode else verb
        entries = answer.result.get(verb)
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict):
                new.append(_delta(entry, answer.host, shown))
    harvest.deltas += new
    if answer.result.get("drop_sessions") and not answer.check_mode:
        harvest.drop_sessions = True
    return new


def _delta(entry: dict[str, t.Any], host: str, verb: str) -> Delta:
    statements = entry.get("statements")
    return Delta(
        number=str(entry.get("number", "")),
        name=str(entry.get("name", "")),
        host=host,
        statements=len(statements) if isinstance(statements, (list, tuple)) else _count(statements),
        seconds=number(entry.get("duration")),
        verb=verb,
        drops_sessions=bool(entry.get("drops_sessions")),
    )


def _take_purge(harvest: Harvest, answer: Answer) -> None:
    purged, after = _count(answer.result.get("purged")), _count(answer.result.get("after"))
    if purged is not None and not answer.check_mode:
        harvest.purged[answer.host] = harvest.purged.get(answer.host, 0) + purged
    if after is not None and not answer.check_mode:
        harvest.sessions_after[answer.host] = after


def _take_release(harvest: Harvest, answer: Answer) -> None:
    known = harvest.releases.setdefault(answer.host, {})
    known.update({key: str(answer.result[key]) for key in ("release", "current", "previous") if answer.result.get(key)})
    if answer.phase == "switch" and answer.result.get("changed") and not answer.check_mode:
        harvest.switched = True


def number(value: object) -> float | None:
    """The value as a number of seconds; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _count(value: object) -> int | None:
    found = number(value)
    return None if found is None else int(found)
