# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of session files is put aside at once, whatever it holds, and removed later."""

from __future__ import annotations

import contextlib
import os
import re
import secrets

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import folders
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.place import Place


class Aside:
    """Exchanges the folder of a place for an empty one beside it, and sweeps what was put aside.

    Only where root alone can change the names: whoever can write in the folder above could have the wrong one renamed.
    """

    def __init__(self, place: Place, keep_ids: frozenset[str]) -> None:
        self.place = place
        self.kept = [f"sess_{text}" for text in keep_ids]
        self.parent, self.base = os.path.split(place.path)
        self.pattern = re.compile(rf"\.{re.escape(self.base)}\.purged-[0-9a-f]{{16}}")

    def exchange(self, folder: int) -> bool:
        """Put an empty folder in place of the open one; the sessions to keep are linked into it first.

        False where the file system, or what is mounted there, does not allow it.
        """
        with folders.closing(self._open_safe_parent()) as parent:
            name = f".{self.base}.purged-{secrets.token_hex(8)}"
            try:
                new = folders.make_private(parent, name)
            except OSError:
                return False  # one that cannot be written to: the folder itself may be another file system
            with folders.closing(new) as made:
                with contextlib.suppress(OSError):  # no room, no links: the files can be removed all the same
                    self._copy(folder, made, self.place.depth)
                    if folders.exchange(parent, name, self.base):
                        return True
                self._clear(made, self.place.depth)
            os.rmdir(name, dir_fd=parent)
            return False

    def check(self) -> None:
        """See that root alone can change the folder's name. :raises LampError: ``session_purge_unsafe_parent``"""
        os.close(self._open_safe_parent())

    def _open_safe_parent(self) -> int:
        parent = folders.open_folder(self.parent, itself=False)
        if folders.only_root_writes(parent):
            return parent
        os.close(parent)
        raise LampError(
            "session_purge_unsafe_parent",
            f"{self.place.path} cannot be exchanged: others than root can write in {self.parent}.",
            "Set dedicated to false, or give the session folder a parent that belongs to root.",
        )

    def _copy(self, model: int, made: int, depth: int) -> None:
        """The folders of ``model``, and the sessions to keep; each folder is handed over once it is complete."""
        if not depth:
            for name in self.kept:
                folders.link(name, model, made)
        for name in sorted(os.listdir(model)) if depth else ():
            below = self.place.level(model, name)
            if below is not None:
                with folders.closing(below), folders.closing(folders.make_private(made, name)) as like:
                    self._copy(below, like, depth - 1)
        folders.dress(made, model)

    def _clear(self, folder: int, depth: int) -> None:
        for name in os.listdir(folder):
            if not depth:
                os.unlink(name, dir_fd=folder)
                continue
            with folders.closing(os.open(name, folders.OPEN, dir_fd=folder)) as below:
                self._clear(below, depth - 1)
            os.rmdir(name, dir_fd=folder)

    def sweep(self, remove: bool) -> int:
        """Remove what was put aside (or count it). What is no session in there goes back to its place."""
        swept = 0
        with folders.closing(folders.open_folder(self.parent, itself=False)) as parent:
            if not folders.only_root_writes(parent):
                return 0  # no purge put a folder aside here: a name that looks like one is somebody else's
            for name in [name for name in os.listdir(parent) if self.pattern.fullmatch(name)]:
                old = folders.open_below(parent, name)
                if old is None:
                    continue
                with folders.closing(old):
                    if not remove:
                        swept += self._count(old)
                        continue
                    with folders.closing(folders.open_folder(self.place.path)) as live:
                        swept += self._sweep(old, live, self.place.depth)
                os.rmdir(name, dir_fd=parent)
        return swept

    def _count(self, old: int) -> int:
        entries = self.place.entries(old, self.place.depth)
        return sum(
            session and _is_old(os.stat(name, dir_fd=at, follow_symlinks=False)) for at, name, session in entries
        )

    def _sweep(self, old: int, live: int, depth: int) -> int:
        swept = 0
        with os.scandir(old) as entries:
            for entry in entries:
                below = self.place.level(old, entry.name) if depth else None
                if below is not None:
                    with folders.closing(below):
                        swept += self._sweep_level(below, live, entry.name, depth)
                    os.rmdir(entry.name, dir_fd=old)
                elif not depth and self.place.is_session(entry):
                    swept += _is_old(entry.stat(follow_symlinks=False))
                    os.unlink(entry.name, dir_fd=old)
                else:
                    self._put_back(old, live, entry.name)
        return swept

    def _sweep_level(self, below: int, live: int, name: str, depth: int) -> int:
        there = self.place.level(live, name)
        if there is None:
            there = folders.make_private(live, name)
            folders.dress(there, below)
        with folders.closing(there):
            return self._sweep(below, there, depth - 1)

    def _put_back(self, old: int, live: int, name: str) -> None:
        try:
            os.stat(name, dir_fd=live, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(name, name, src_dir_fd=old, dst_dir_fd=live)
            return
        raise LampError(
            "session_purge_not_swept",
            f"{self.place.shown(name)} is no session, and cannot go back to {self.place.path}:"
            " the name is taken there again.",
            f"Move it out of the folder .{self.base}.purged-* in {self.parent} by hand.",
        )


def _is_old(status: os.stat_result) -> bool:
    """Whether a session was put aside; one that was kept has a name in both folders."""
    return status.st_nlink == 1
