# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release changes against the live one, path by path."""

from __future__ import annotations

import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._release.manifest import FOLDER, Manifest


def difference(before: Manifest, after: Manifest, elsewhere: t.Callable[[str], bool]) -> list[str]:
    """A line for each path that differs; folders end in a slash.

    :param elsewhere: tells the paths that are not the release's own: what it brings there does not count
    """
    old, new = (
        {entry.path: entry for entry in manifest.entries if not elsewhere(entry.path)} for manifest in (before, after)
    )
    lines = []
    for path in sorted({*old, *new}):
        was, will = old.get(path), new.get(path)
        if was and will and (was.kind, was.value) == (will.kind, will.value):
            continue
        verb = "changed" if was and will else "added" if will else "removed"
        shown = path + "/" * all(entry.kind == FOLDER for entry in (was, will) if entry)
        lines.append(f"{verb} {shown if shown.isprintable() else ascii(shown)}")
    return lines
