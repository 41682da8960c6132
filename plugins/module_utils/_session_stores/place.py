# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the session files of one save path lie, and which of the names there are sessions."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import folders
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.selection import Names

LEVEL = re.compile(r"[A-Za-z0-9,-]")


class Place:
    """What lies where sessions do: in a folder, or that many folders deep."""

    def __init__(self, path: str, depth: int, names: Names) -> None:
        self.path = path
        self.depth = depth
        self.names = names

    def is_session(self, entry: os.DirEntry[str]) -> bool:
        """Whether it is a file (no link) whose name is that of a session."""
        return self.names.id_of(os.fsencode(entry.name)) is not None and entry.is_file(follow_symlinks=False)

    def level(self, folder: int, name: str) -> int | None:
        """The open folder that sessions whose ids begin so lie in; None when it is none of the store's."""
        if not LEVEL.fullmatch(name):
            return None
        try:
            return folders.open_below(folder, name)
        except OSError as error:
            raise self.refused(name, error) from error

    def entries(self, folder: int, depth: int) -> t.Iterator[tuple[int, str, bool]]:
        """What lies there: the open folder, the name, and whether it is a session."""
        with os.scandir(folder) as found:
            for entry in found:
                below = self.level(folder, entry.name) if depth else None
                if below is None:
                    yield folder, entry.name, not depth and self.is_session(entry)
                    continue
                with folders.closing(below):
                    yield from self.entries(below, depth - 1)

    def shown(self, name: str) -> str:
        """A name as a message may have it."""
        return self.names.shown(os.fsencode(name))

    def read_only(self) -> LampError:
        """The LampError for a folder that nothing can be removed from."""
        return LampError(
            "session_purge_not_removed",
            f"Nothing can be removed from the session folder {self.path}: it cannot be written to. Nothing was purged.",
            "Run the play as root, and see that the file system is writable.",
        )

    def refused(self, name: str, error: OSError) -> LampError:
        """The LampError for what the file system refused."""
        return LampError(
            "session_purge_not_removed",
            f"{self.shown(name)} in the session folder {self.path} cannot be read or removed: {error.strerror}.",
            "Run the play as root, and see that the file system is sound and writable.",
        )
