# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of deploys that every host of an application keeps: one JSON object per line, newest last."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible_collections.lamp.cluster.plugins.module_utils import _durable
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

Entry = t.Dict[str, t.Any]
FOLDER = "/var/lib/lamp.cluster/deploys"
NOTHING_CHANGED = "failed, nothing changed"
SITE_OPEN = "failed, site open"  # the release is live, and what failed came after that


class Journal:
    """The file ``<folder>/<name>.jsonl``; root's, readable by all, as it holds no secret."""

    def __init__(self, folder: str, name: str) -> None:
        if not name or not name.isprintable() or "/" in name or name.startswith("."):
            raise LampError(
                "deploy_record_bad_name",
                f"{name!r} cannot name a journal.",
                "Use the application's name, such as shop.",
            )
        self.path = Path(folder) / f"{name}.jsonl"

    def changing(self) -> t.ContextManager[None]:
        """One process at a time."""
        return _durable.changing(self.path, self._failure)

    def entries(self) -> list[Entry]:
        """What is recorded, oldest first; a line that a crash cut short, or that tells of no deploy, is left out."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failure(error) from error
        found = []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("id"):
                found.append({**entry, "id": str(entry["id"])})
        return found

    def write(self, entries: list[Entry]) -> None:
        """Replace the journal atomically and durably."""
        _durable.write(self.path, "".join(json.dumps(entry, sort_keys=True) + "\n" for entry in entries))

    def _failure(self, error: OSError) -> LampError:
        return LampError(
            "deploy_record_io",
            f"The journal of deploys {self.path} cannot be read or written: {error.strerror}.",
            "Run the play as root, and see that the disk is not full.",
        )


def that_changed(entries: t.Iterable[Entry]) -> list[Entry]:
    """Without the deploys that stopped before they changed anything: what was unfinished before them still is."""
    return [entry for entry in entries if entry.get("result") != NOTHING_CHANGED]


def with_entry(entries: list[Entry], entry: Entry, keep: int) -> list[Entry]:
    """The last ``keep`` of ``entries`` and ``entry``, which takes the place of one with the same ``id``.

    Of deploys in a row that changed nothing the last is kept: a job that tries again and again pushes out no other.
    """
    if any(old.get("id") == entry["id"] for old in entries):
        return [entry if old.get("id") == entry["id"] else old for old in entries][-keep:]
    again = entries and not that_changed([entries[-1], entry])
    return [*(entries[:-1] if again else entries), entry][-keep:]
