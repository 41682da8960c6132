# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the journals of deploys on this host tell of releases.

Of all applications: the others' releases have other ids, which are of contents.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.lamp.cluster.plugins.module_utils import _deploy_record

FOLDER = _deploy_record.FOLDER


def _all() -> t.Iterator[list[_deploy_record.Entry]]:
    for path in Path(FOLDER).glob("*.jsonl"):
        yield _deploy_record.Journal(FOLDER, path.stem).entries()


def gone_back_to() -> set[str]:
    """What was live before the deploys that have not come to an end, however many attempts were live since."""
    ends = [entries[-1] for entries in _all() if entries]
    return {name for last in ends if not last.get("finished", True) for name in last.get("from", {}).values()}


def failed() -> set[str]:
    """The releases that were live only in a deploy that failed, the last time that one was tried."""
    found: set[str] = set()
    for entries in _all():
        for entry in entries:
            name = str(entry.get("release"))
            if entry.get("kind") != "deploy" or not str(entry.get("result")).startswith(("failed", "unfinished")):
                found.discard(name)
            elif name not in entry.get("from", {}).values():
                found.add(name)
    return found
