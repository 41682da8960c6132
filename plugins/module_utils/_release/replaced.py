# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a switch replaced by templates: kept until its run has come to its end, as that may have to put it back.

It may hold secrets: its file is root's alone. What a run kept stays as it is while others continue that run: what was
there before the first of them counts, whatever was cut off since.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _durable
from ansible_collections.lamp.cluster.plugins.module_utils._release.layout import Layout
from ansible_collections.lamp.cluster.plugins.module_utils._release.paths import Owner, opened, read_file
from ansible_collections.lamp.cluster.plugins.module_utils._release.rendered import File, is_right, replace
from ansible_collections.lamp.cluster.plugins.module_utils._release.state import read_json

Kept = t.Dict[str, t.Any]  # root (below the application's), path, content (none: no file was there), uid, gid, mode

NAME = ".replaced.json"  # no record: a release's name begins otherwise


def kept_for(layout: Layout) -> str:
    """The run whose replaced files are kept; empty where none are."""
    told = read_json(os.path.join(layout.records, NAME))
    return str(told.get("run") or "") if told.get("files") else ""


class Replaced:
    """What is kept for ``run``; what is there for another is of no use any more."""

    def __init__(self, layout: Layout, run: str) -> None:
        self.layout = layout
        self.run = run
        self.path = os.path.join(layout.records, NAME)
        told = read_json(self.path)
        self.left_over = bool(told) and told.get("run") != run
        self.files: list[Kept] = [] if self.left_over else told.get("files", [])

    @property
    def places(self) -> list[str]:
        """What is kept, by its path below the application's root."""
        return [os.path.join(kept["root"], kept["path"]) for kept in self.files]

    def keep(self, files: t.Iterable[tuple[File, str, str]]) -> None:
        """Keep what is there now, for each file at its trusted root and path below that; durable on return.

        One that is as it is to be was written since by another host that has the folder in common, which keeps it.
        """
        known = self.places
        for file, root, path in files:
            below = os.path.relpath(root, self.layout.root)
            found = read_file(root, path)
            if os.path.join(below, path) not in known and not is_right(file, found):
                self.files.append({"root": below, "path": path, **_words(found)})
        if self.files and self.places != known:
            data = json.dumps({"run": self.run, "files": self.files})
            _durable.write(self.path, data, 0o600)
        elif self.left_over:
            self.forget()

    def due(self) -> list[Kept]:
        """What is not there as it was. In a release that is gone nothing is missed."""
        return [
            kept
            for kept in self.files
            if os.path.isdir(os.path.join(self.layout.root, kept["root"]))
            and any(kept[key] != value for key, value in self._found(kept).items())
        ]

    def _found(self, kept: Kept) -> Kept:
        return _words(read_file(os.path.join(self.layout.root, kept["root"]), kept["path"]))

    def put_back(self, files: t.Iterable[Kept]) -> None:
        """Have them as they were, each whole at any moment."""
        for kept in files:
            above, name = os.path.split(kept["path"])
            with opened(os.path.join(self.layout.root, kept["root"]), above) as parent:
                if kept["content"] is None:
                    os.unlink(name, dir_fd=parent)
                    os.fsync(parent)
                else:
                    owner = Owner(kept["uid"], kept["gid"], file=kept["mode"])
                    replace(parent, name, File(name, base64.b64decode(kept["content"]), owner))

    def forget(self) -> None:
        """Nothing has to be put back any more."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
            _durable.sync_folder(self.layout.records)


def _words(found: tuple[bytes, os.stat_result] | None) -> Kept:
    if found is None:
        return {"content": None}
    content, now = found
    return {
        "content": base64.b64encode(content).decode("ascii"), "uid": now.st_uid, "gid": now.st_gid,
        "mode": now.st_mode & 0o7777,
    }  # fmt: skip
