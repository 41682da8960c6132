# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in files, as PHP's own handler writes them: ``sess_<id>`` in a folder, or ``N`` folders deep."""

from __future__ import annotations

import os
import pwd
import re
import stat
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
        parts = [part for part in match.group(2).split("/") if part not in ("", ".")]
        if ".." in parts:  # what is above a link is known on the way alone, and what a name is above must be its parent
            raise LampError(
                "session_purge_bad_path",
                f"save_path {params['save_path']!r} leads upwards by '..'.",
                "Give the folder itself, without '..'.",
            )
        path = "/" + "/".join(parts)
        self.place = Place(path, int(match.group(1) or 0), Names("sess_", params["id_pattern"] or PHP_ID))
        self.name = f"files {path}"
        self.selection = Selection(params, self.ABLE)
        self.owner = _user(params["owner"]) if params["owner"] else None
        self.aside = Aside(self.place, self.selection.keep_ids)
        self.shared = not params["dedicated"] and self.owner is None
        alone = params["dedicated"] and self.owner is None and self.selection.older_than is None
        self.exchanges = alone and params["leftovers"] == "leave"

    def begin(self, check: bool) -> dict[str, t.Any]:
        """See that it is said whose sessions go, and that they can be removed.

        No epoch is needed: an open session file that is removed takes what its request still writes with it.

        :raises LampError: ``session_purge_shared_folder``, ``session_purge_unsafe_parent``,
            ``session_purge_not_removed``
        """
        if self.exchanges:
            self.aside.check()
        with self._open() as folder:
            if not os.access(".", os.W_OK, dir_fd=folder, effective_ids=True):
                raise self.place.read_only()
            if self.shared:
                self._check_private(folder)
        return {}

    def _check_private(self, folder: int) -> None:
        """See that nobody but its owner can put sessions there: those of others may be another application's.

        Who has sessions there now is not asked: what a plan allows, a purge must not refuse for who came meanwhile, and
        a neighbour's must not go because the application has none itself.
        """
        mode = stat.S_IMODE(os.fstat(folder).st_mode)
        able, forbidden = ("enter", 0o033) if self.place.depth else ("write to", 0o022)
        if mode & forbidden:
            raise LampError(
                "session_purge_shared_folder",
                f"Others than its owner can {able} the session folder {self.place.path} (mode {mode:04o}), so that it"
                " may hold sessions of other applications; whose are to go was not said. Nothing was purged.",
                "Set owner (session_purge_owner) to the user that PHP runs as, such as www-data; or dedicated, if all"
                " sessions there are this application's.",
            )

    def count(self) -> Tally:
        """Sessions below the folder; counting stops at a limit where it is to be exchanged, holding nothing else."""
        with self._open() as folder:
            found = self._walk(folder, remove=False, limit=COUNTED if self.exchanges else 0)
            return self._walk(folder, remove=False) if found.ignored and not found.exact else found

    def purge(self) -> Tally:
        """Exchange the folder for an empty one, or remove the sessions that one pass finds."""
        with self._open() as folder:
            if self.exchanges:
                found = self._walk(folder, remove=False, limit=COUNTED)
                empty = found.exact and not found.selected
                if empty or (not found.ignored and self.aside.exchange(folder)):
                    return found
            return self._walk(folder, remove=True)

    def sweep(self, remove: bool) -> int:
        """Remove the folders that earlier purges put aside."""
        try:
            return self.aside.sweep(remove)
        except OSError as error:
            raise self.place.refused(str(error.filename or "what was put aside"), error) from error

    def _open(self) -> t.ContextManager[int]:
        return folders.closing(folders.open_folder(self.place.path))

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
