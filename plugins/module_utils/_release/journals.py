# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the journals of deploys on this host tell of an application's releases.

An id is of contents: two applications may have the same release, and one of them fail with it.
"""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ansible_collections.lamp.cluster.plugins.module_utils import _deploy_record

FOLDER = _deploy_record.FOLDER


def _of(root: str) -> t.Iterator[list[_deploy_record.Entry]]:
    """The journals that tell of the application with this root; an entry that names none may tell of any."""
    for path in Path(FOLDER).glob("*.jsonl"):
        entries = _deploy_record.that_changed(_deploy_record.Journal(FOLDER, path.stem).entries())
        yield [entry for entry in entries if os.path.normpath(str(entry.get("path", root))) == root]


def gone_back_to(root: str) -> set[str]:
    """What was live before the deploys that have not come to an end, however many attempts were live since."""
    ends = [entries[-1] for entries in _of(root) if entries]
    return {name for last in ends if not last.get("finished", True) for name in last.get("from", {}).values()}


def failed(root: str) -> set[str]:
    """The releases that were live only in a deploy that failed, the last time that one was tried."""
    found: set[str] = set()
    for entries in _of(root):
        for entry in entries:
            name = str(entry.get("release"))
            result = str(entry.get("result"))
            lived = result == _deploy_record.SITE_OPEN or not result.startswith(("failed", "unfinished"))
            if entry.get("kind") != "deploy" or lived:
                found.discard(name)
            elif name not in entry.get("from", {}).values():
                found.add(name)
    return found
