# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in files, as PHP's own handler writes them: ``sess_<id>`` in a folder, or ``N`` folders deep."""

from __future__ import annotations

import os
import pwd
import re
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import COUNTED, Tally, folders
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.aside import Aside
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.place import Place
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.selection import PHP_ID, Names, Selection

SAVE_PATH = re.compile(r"(?:(\d+);)?(?:[0-7]+;)?(/.*)")


class Files:
    """The sessions below ``save_path``, written as in php.ini: ``[N;[MODE;]]/path``. Links are never followed."""

    ABLE = frozenset({"keep_ids", "older_than"})

    def __init__(self, params: dict[str, t.Any]) -> None:
        match = SAVE_PATH.fullmatch(params["save_path"])
        if not match:
            raise LampError(
                "session_purge_bad_path",
                f"save_path {params['save_path']!r} is not of the form [N;[MODE;]]/path.",
                "Give it as session.save_path in php.ini.",
            )
        path = os.path.normpath(match.group(2))
        self.place = Place(path, int(match.group(1) or 0), Names("sess_", params["id_pattern"] or PHP_ID))
        self.name = f"files {path}"
        self.selection = Selection(params, self.ABLE)
        self.owner = _user(params["owner"]) if params["owner"] else None
        self.aside = Aside(self.place, self.selection.keep_ids)
        alone = params["dedicated"] and self.owner is None and self.selection.older_than is None
        self.exchanges = alone and params["leftovers"] == "leave"

    def begin(self, check: bool) -> dict[str, t.Any]:
        """Nothing: an open session file that is removed takes what its request still writes with it."""
        return {}

    def count(self) -> Tally:
        """Sessions below the folder; where it is to be exchanged, counting stops at a limit."""
        with folders.closing(folders.open_folder(self.place.path)) as folder:
            return self._walk(folder, remove=False, limit=COUNTED if self.exchanges else 0)

    def purge(self) -> Tally:
        """Exchange the folder for an empty one, or remove the sessions that one pass finds."""
        with folders.closing(folders.open_folder(self.place.path)) as folder:
            if self.exchanges:
                found = self._walk(folder, remove=False, limit=COUNTED)
                if not found.selected or (not found.ignored and self.aside.exchange(folder)):
                    return found
            return self._walk(folder, remove=True)

    def sweep(self, remove: bool) -> int:
        """Remove the folders that earlier purges put aside."""
        return self.aside.sweep(remove)

    def _walk(self, folder: int, remove: bool, limit: int = 0) -> Tally:
        total = selected = ignored = 0
        for place, name, is_session in self.place.entries(folder, self.place.depth):
            if limit and total + ignored >= limit:
                return Tally(total, selected, ignored=ignored, exact=False)
            if not is_session:
                ignored += 1
                continue
            try:
                if not self._ours(place, name):
                    continue
                kept = self._kept(place, name)
                if remove and not kept:
                    os.unlink(name, dir_fd=place)
            except (FileNotFoundError, IsADirectoryError):
                continue  # its user, or PHP's own clean-up, was faster
            except OSError as error:
                raise self.place.refused(name, error) from error
            total += 1
            selected += not kept
        return Tally(total, selected, ignored=ignored)

    def _ours(self, place: int, name: str) -> bool:
        return self.owner is None or os.stat(name, dir_fd=place, follow_symlinks=False).st_uid == self.owner

    def _kept(self, place: int, name: str) -> bool:
        if name[len("sess_") :] in self.selection.keep_ids:
            return True
        if self.selection.older_than is None:
            return False
        return os.stat(name, dir_fd=place, follow_symlinks=False).st_mtime >= self.selection.before


def _user(name: str) -> int:
    """The number of a user. :raises LampError: ``session_purge_no_user``"""
    if name.isdigit():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError as error:
        raise LampError("session_purge_no_user", f"There is no user {name} on this host.", "Correct owner.") from error
