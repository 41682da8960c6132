# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in files, as PHP's own handler writes them: ``sess_<id>`` in a folder, or ``N`` folders deep."""

from __future__ import annotations

import os
import re
import stat

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

SAVE_PATH = re.compile(r"(?:(\d+);)?(?:[0-7]+;)?(/.*)")
SESSION = re.compile(r"sess_[A-Za-z0-9,-]+")
LEVEL = re.compile(r"[A-Za-z0-9,-]")


class Files:
    """The sessions below ``save_path``, written as in php.ini: ``[N;[MODE;]]/path``. Links are never followed."""

    def __init__(self, save_path: str) -> None:
        match = SAVE_PATH.fullmatch(save_path)
        if not match:
            raise LampError(
                "session_purge_bad_path",
                f"save_path {save_path!r} is not of the form [N;[MODE;]]/path.",
                "Give it as session.save_path in php.ini.",
            )
        self.depth = int(match.group(1) or 0)
        self.folder = match.group(2)

    def count(self) -> int:
        """Sessions below the folder."""
        return self._walk(remove=False)

    def purge(self) -> int:
        """Remove the sessions that one pass finds."""
        return self._walk(remove=True)

    def _walk(self, remove: bool) -> int:
        try:
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise LampError(
                "session_purge_no_folder",
                f"The session folder {self.folder} cannot be opened: {error.strerror}.",
                "Give the folder itself, not a link to it, and run the play as root.",
            ) from error
        try:
            return self._level(descriptor, self.depth, remove)
        finally:
            os.close(descriptor)

    def _level(self, folder: int, depth: int, remove: bool) -> int:
        """Count or remove in an open folder; with ``depth`` left, sessions lie in its one-letter folders alone."""
        found = 0
        for name in os.listdir(folder):
            if depth:
                if LEVEL.fullmatch(name):
                    found += self._below(folder, name, depth - 1, remove)
                continue
            if not SESSION.fullmatch(name):
                continue
            try:
                if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                    continue
                if remove:
                    os.unlink(name, dir_fd=folder)
            except FileNotFoundError:
                continue  # its user, or PHP's own clean-up, was faster
            except OSError as error:
                raise LampError(
                    "session_purge_not_removed",
                    f"The session file {name} in {self.folder} cannot be removed: {error.strerror}.",
                    "Run the play as root.",
                ) from error
            found += 1
        return found

    def _below(self, folder: int, name: str, depth: int, remove: bool) -> int:
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        except OSError:
            return 0  # a file or a link: nothing of the store's
        try:
            return self._level(descriptor, depth, remove)
        finally:
            os.close(descriptor)
