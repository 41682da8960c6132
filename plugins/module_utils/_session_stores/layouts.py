# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of sessions as PHP's frameworks lay them out."""

from __future__ import annotations

import base64
import hashlib
import typing as t


class Layout(t.NamedTuple):
    """A table, and what its columns are called. An empty name means that the layout has no such column."""

    table: str = ""
    id: str = ""
    user: str = ""
    time: str = ""  # of the last write: a number of seconds since 1970, or a DATETIME or TIMESTAMP
    stored: str = (
        "plain"  # how an id is kept: plain, sha256 (32 bytes), drupal (base64 of it, and plain before Drupal 8)
    )
    rows: str = "session"  # what a row is: a session, or a variable of one
    epoch: str = ""  # the column with the epoch that the session was written in


LAYOUTS = {
    "lamp": Layout("lamp_session", "id", "", "updated_at", stored="sha256", epoch="epoch"),
    "symfony": Layout("sessions", "sess_id", "", "sess_time"),
    "laravel": Layout("sessions", "id", "user_id", "last_activity"),
    "drupal": Layout("sessions", "sid", "uid", "timestamp", stored="drupal"),
    "roundcube": Layout("session", "sess_id", "", "changed"),
    "magento": Layout(
        "session", "session_id", "", "session_expires"
    ),  # holds the time of the last write, by name despite
    "variables": Layout("", "session_id", rows="variable"),
    "custom": Layout(),
}


def of(params: dict[str, t.Any]) -> Layout:
    """The layout that the options describe: a preset, with its table and columns replaced by those that are named."""
    named = {name: column for name, column in (params["columns"] or {}).items() if column}
    if params["table"]:
        named["table"] = params["table"]
    return LAYOUTS[params["layout"]]._replace(**named)


def stored_ids(layout: Layout, ids: t.Iterable[str]) -> list[bytes | str]:
    """What the id column holds for the ids that users' cookies hold."""
    found: list[bytes | str] = []
    for text in sorted(ids):
        digest = hashlib.sha256(text.encode()).digest()
        if layout.stored == "sha256":
            found.append(digest)
            continue
        found.append(text)
        if layout.stored == "drupal":
            found.append(base64.urlsafe_b64encode(digest).decode().rstrip("="))
    return found
