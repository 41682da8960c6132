# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller keeps between deploys: each entry is made whole or not at all, and goes when long unused."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _durable
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release import package
from ansible_collections.lamp.cluster.plugins.module_utils._release.stage import sync_filesystem

TEMPORARY = ".making-"
KEPT_SECONDS = 30 * 86400
# The folder may be one where other things are, too.
OWN = re.compile(
    r"(tree-|tree-git-|built-|git-|last-)[0-9a-f]{16,64}|[0-9a-f]{16}(-without-[0-9a-f]{16})?\.tar\.gz"
    rf"|{re.escape(TEMPORARY)}\w+|{re.escape(_durable.TEMPORARY)}last-\S+"
)


class Cache:
    """A folder of the user's own. Two runs may make the same entry at once; the first to end wins."""

    def __init__(self, folder: str) -> None:
        self.folder = os.path.abspath(os.path.expanduser(folder))
        os.makedirs(self.folder, mode=0o700, exist_ok=True)

    def path(self, name: str) -> str:
        """Where the entry ``name`` is, or would be."""
        return os.path.join(self.folder, name)

    def made(self, name: str, make: t.Callable[[str], None]) -> str:
        """The path of the entry ``name``; ``make`` fills the path it is given when there is none yet."""
        path = self.path(name)
        if not os.path.exists(path):
            above = tempfile.mkdtemp(prefix=TEMPORARY, dir=self.folder)
            try:
                made = os.path.join(above, "entry")
                make(made)
                os.chmod(
                    made, 0o700 if os.path.isdir(made) else 0o600
                )  # code is nobody else's, whatever the folder's mode
                sync_filesystem(above)  # else a crash could leave files that are empty, which would be another release
                with contextlib.suppress(OSError):  # there already, by another run
                    os.rename(made, path)
            finally:
                shutil.rmtree(above, ignore_errors=True)
        os.utime(path)
        return path

    @contextlib.contextmanager
    def locked(self, name: str) -> t.Iterator[str]:
        """The folder ``name``, for one run at a time."""
        path = self.path(name)
        os.makedirs(path, mode=0o700, exist_ok=True)
        with open(os.path.join(path, "lamp.lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.utime(path)
            yield path

    def sweep(self) -> None:
        """Remove what was not used for a month. Nothing that a run of now uses is as old.

        A folder leaves its name first: what is left of a removal that was cut off must not be taken for the whole.
        """
        with os.scandir(self.folder) as found:
            for item in found:
                with contextlib.suppress(FileNotFoundError):
                    recent = item.stat(follow_symlinks=False).st_mtime > time.time() - KEPT_SECONDS
                    if recent or not OWN.fullmatch(item.name):
                        continue
                    if item.is_dir(follow_symlinks=False):
                        away = self.path(TEMPORARY + secrets.token_hex(8))  # needs no room on a disk that is full
                        os.rename(item.path, away)
                        shutil.rmtree(away, ignore_errors=True)
                    else:
                        os.unlink(item.path)


def guessed(archive: str, place: str) -> tuple[str, str] | None:
    """A package for ``place`` and the release it builds upon: the one that this controller had there last.

    Nothing when that is the same one, or is not known here any more: then the place has to be asked.
    """
    cache = Cache(os.path.dirname(archive))
    try:
        with open(cache.path(_last(place)), encoding="ascii") as stream:
            base = stream.read()
        if os.path.basename(archive) == f"{base}.tar.gz":
            return None
        with open(cache.path(f"{base}.tar.gz"), "rb") as content:
            known = package.contents(package.Reader(content).manifest)
        return reduced(archive, known), base
    except (OSError, ValueError, LampError):
        return None


def remember(archive: str, place: str) -> None:
    """Note that ``place`` has the release of ``archive`` now."""
    path = Cache(os.path.dirname(archive)).path(_last(place))
    with contextlib.suppress(OSError):  # it is only for speed
        _durable.write(path, os.path.basename(archive).partition(".")[0])


def _last(place: str) -> str:
    return f"last-{hashlib.sha256(place.encode()).hexdigest()[:16]}"


def reduced(archive: str, known: str) -> str:
    """The package ``archive`` without the contents that a host knows: made once for all hosts that know the same.

    Where nothing can be written beside it, it is the whole one, which does as well.
    """
    name = os.path.basename(archive).partition(".")[0]
    digest = hashlib.sha256(known.encode("ascii")).hexdigest()[:16]
    cache = Cache(os.path.dirname(archive))
    try:
        return cache.made(f"{name}-without-{digest}.tar.gz", lambda target: package.reduce(archive, target, known))
    except OSError:
        return archive
