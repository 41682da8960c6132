# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host remembers about releases: which were live, which are rejected, what is still to reload."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _durable
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release import journals
from ansible_collections.lamp.cluster.plugins.module_utils._release.layout import Layout

SCHEMA = 1
HISTORY = 50
BUSY_SECONDS = 10.0


class State:
    """``history`` (releases that were live, newest last), ``rejected`` (id to reason, time), ``reload`` (services)."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.path = os.path.join(layout.records, "state.json")
        data = read_json(self.path)
        if data.get("schema", SCHEMA) != SCHEMA:
            raise LampError(
                "release_newer_state",
                f"{self.path} was written by a newer version of this collection (schema {data['schema']}).",
                "Use that version here as well.",
            )
        self.history: list[str] = data.get("history", [])
        self.rejected: dict[str, dict[str, str]] = data.get("rejected", {})
        self.reload: list[str] = data.get("reload", [])

    def lived(self, current: str | None) -> list[str]:
        """The history up to what is current now: what follows was written by a switch that did not come to pass."""
        if current is None:
            return list(self.history)
        if current in self.history:
            last = len(self.history) - 1 - self.history[::-1].index(current)
            return self.history[: last + 1]
        return [*self.history, current]

    def previous(self, current: str | None) -> str | None:
        """The last good release that was live before ``current`` and is still there."""
        bad = {*self.rejected, *journals.failed(self.layout.root)}
        for name in reversed(self.lived(current)):
            if name != current and name not in bad and self.layout.is_staged(name):
                return name
        return None

    def save(self) -> None:
        """Write all of it, atomically and durably."""
        write_json(
            self.path,
            {
                "schema": SCHEMA,
                "history": self.history[-HISTORY:],
                "rejected": self.rejected,
                "reload": self.reload,
            },
        )


def read_json(path: str) -> dict[str, t.Any]:
    """What ``write_json`` wrote; nothing where there is no file. :raises LampError: ``release_bad_record``"""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise LampError(
            "release_bad_record", f"{path} cannot be read: {error}.", "Mend it or move it away, then repeat."
        ) from error
    return data if isinstance(data, dict) else {}


def read_record(layout: Layout, name: str) -> dict[str, t.Any]:
    """What was recorded when the release was staged."""
    return read_json(layout.record(name))


def facts(layout: Layout, state: State) -> dict[str, t.Any]:
    """What there is on this host: ``current``, ``previous`` and ``releases``, as the modules return them."""
    current = layout.current_release()
    releases = [
        {
            "release": name,
            "staged_at": str(read_record(layout, name).get("staged_at", "")),
            "active": name == current,
            "rejected": state.rejected.get(name, {}).get("reason", ""),
        }
        for name in layout.names()
    ]
    return {"current": current or "", "previous": state.previous(current) or "", "releases": releases}


def write_json(path: str, data: dict[str, t.Any], *, flush: bool = True) -> None:
    """Replace ``path`` atomically by ``data``; durable on return, unless the caller flushes. Readable by monitoring."""
    _durable.write(path, json.dumps(data, indent=1, sort_keys=True) + "\n", flush=flush)


@contextlib.contextmanager
def exclusive(layout: Layout) -> t.Iterator[None]:
    """One writer at a time; the kernel frees the lock of a process that dies. :raises LampError: ``release_busy``"""
    deadline = time.monotonic() + BUSY_SECONDS
    with open(os.path.join(layout.records, "lock"), "w", encoding="ascii") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise LampError(
                        "release_busy",
                        f"Another process is changing the releases of {layout.root}.",
                        "Wait for it to end, then repeat; deploy_lock keeps deploys apart.",
                    ) from error
                time.sleep(0.05)
        yield
