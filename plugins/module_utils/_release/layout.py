# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things are under an application's root: releases/, shared/, current, and the records in releases/.lamp/."""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _durable
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
TEMPORARY = ".staging-"
SWITCHING = ".current-"


class Layout:
    """The paths of one application; nothing here writes."""

    def __init__(self, root: str) -> None:
        self.root = os.path.normpath(root)
        self.releases = os.path.join(self.root, "releases")
        self.shared = os.path.join(self.root, "shared")
        self.current = os.path.join(self.root, "current")
        self.records = os.path.join(self.releases, ".lamp")

    def release(self, name: str) -> str:
        """The folder of a release."""
        return os.path.join(self.releases, name)

    def record(self, name: str) -> str:
        """The record of a release: kept beside the releases, out of every document root."""
        return os.path.join(self.records, f"{name}.json")

    def manifest(self, name: str) -> str:
        """The manifest of a release, beside its record: what the next release can take from it."""
        return os.path.join(self.records, f"{name}.manifest")

    def is_staged(self, name: str) -> bool:
        """Whether the release is whole. The record is durable before the folder gets its name: both mean whole."""
        return (
            os.path.isdir(self.release(name))
            and not os.path.islink(self.release(name))
            and os.path.isfile(self.record(name))
        )

    def current_release(self) -> str | None:
        """What ``current`` names, also when that release is gone. :raises LampError: ``release_current_not_link``"""
        try:
            target = os.readlink(self.current)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LampError(
                "release_current_not_link",
                f"{self.current} is not a symbolic link, so it cannot be switched.",
                f"Move it away, or give another path than {self.root}.",
            ) from error
        folder, name = os.path.split(os.path.normpath(os.path.join(self.root, target)))
        if folder == self.releases or os.path.realpath(folder) == os.path.realpath(self.releases):
            return name
        return os.path.normpath(os.path.join(self.root, target))

    def names(self) -> list[str]:
        """The names of the whole releases."""
        try:
            found = os.listdir(self.releases)
        except FileNotFoundError:
            return []
        return sorted(name for name in found if RELEASE.match(name) and self.is_staged(name))

    def leftovers(self) -> list[str]:
        """Paths of stagings, removals, switches and writes of records that died."""
        found = []
        places = ((self.root, SWITCHING), (self.releases, TEMPORARY), (self.records, _durable.TEMPORARY))
        for folder, prefix in places:
            with contextlib.suppress(FileNotFoundError):
                found += [os.path.join(folder, name) for name in os.listdir(folder) if name.startswith(prefix)]
        return sorted(found)


def check_release_name(name: str | None) -> str:
    """:raises LampError: ``release_bad_name``"""
    if not name or not RELEASE.match(name):
        raise LampError(
            "release_bad_name",
            f"{name!r} cannot be the name of a release.",
            "Give the release that lamp.cluster.artifact returned.",
        )
    return name


def relative(path: str, option: str) -> str:
    """``path`` without needless parts. :raises LampError: ``release_bad_path``, unless it stays in the release"""
    plain = os.path.normpath(path)
    if not path or plain.startswith(("/", "..")) or plain == "." or "\0" in path:
        raise LampError(
            "release_bad_path",
            f"{path!r} in {option} is not a path inside of the release.",
            "Give a path relative to the release's root, such as var/uploads.",
        )
    return plain


def full_disk(error: OSError, layout: Layout) -> LampError:
    """The error for a disk that ran full: says how much there is."""
    free = free_bytes(layout.root)
    return LampError(
        "release_disk_full",
        f"The disk of {layout.root} is full ({free // 1024} KiB free): {error.strerror}.",
        "Make room there (state=pruned removes old releases), then repeat; nothing of the release was left behind.",
    )


def free_bytes(path: str) -> int:
    """Bytes that may still be written where ``path`` is or will be."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    stat: t.Any = os.statvfs(path)
    return int(stat.f_bavail * stat.f_frsize)
