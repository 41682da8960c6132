# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release gets beside its own files: links into shared/, folders for the web server."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _durable
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release.layout import TEMPORARY, Layout, relative
from ansible_collections.lamp.cluster.plugins.module_utils._release.paths import (
    Owner,
    check_unmounted,
    copy_tree,
    kind_of,
    opened,
    opened_folder,
    own_tree,
    remove,
    remove_tree,
    temporary,
)

FIRST = (
    errno.ENOTEMPTY,
    errno.EEXIST,
    errno.ENOTDIR,
)  # of a rename: another host that has the folder, too, has seeded it


class Furnishing:
    """Shared and writable paths of one application, checked against each other."""

    def __init__(
        self,
        layout: Layout,
        shared: t.Collection[str],
        writable: t.Iterable[str],
        owner: Owner,
        writer: Owner,
    ) -> None:
        self.layout = layout
        self.folders = {relative(path, "shared_paths") for path in shared if path.endswith("/")}
        self.shared = sorted({relative(path, "shared_paths") for path in shared})
        self.writable = sorted({relative(path, "writable_paths") for path in writable})
        self.owner = owner
        self.writer = writer
        for path in self.shared:
            above = self.shared_above(path, strictly=True)
            if above:
                raise LampError(
                    "release_nested_paths",
                    f"{path} lies in the shared path {above}.",
                    "Share the outer folder alone, or the inner paths alone.",
                )

    def shared_above(self, path: str, strictly: bool = False) -> str | None:
        """The shared path that ``path`` is, or lies in."""
        for shared in self.shared:
            if path.startswith(shared + "/") or (path == shared and not strictly):
                return shared
        return None

    def not_needed(self) -> list[str]:
        """The shared paths that have something in them: what the release brings for them is not used."""
        if not os.path.isdir(self.layout.shared):
            return []
        return [
            path
            for path in self.shared
            if kind_of(self.layout.shared, path) != "missing" and not is_empty_folder(self.layout.shared, path)
        ]

    def todo(self, folder: str) -> list[str]:
        """What ``furnish`` would change on the release in ``folder``, in words."""
        return [
            *(f"link {path} to shared/{path}" for path in self.shared if not self._is_shared(folder, path)),
            *(f"make {path} writable" for path in self.writable if not self._is_writable(folder, path)),
        ]

    def furnish(self, folder: str, rendered: t.Collection[str] = (), lived: bool = False) -> None:
        """Do it. ``folder`` is a staged release or one in the making; what is ``rendered`` next needs no seed.

        Of one that ``lived``, what is there is of its users, who may be at it: it is moved, never copied or removed.
        """
        for path in self.shared:
            if not self._is_shared(folder, path):
                if lived and self.has_own(folder, path):
                    self._move(folder, path)
                else:
                    if path not in rendered:
                        self._check_kind(folder, path, rendered)
                        self._seed(folder, path)
                    self._link(folder, path)
        for path in self.writable:
            if not self._is_writable(folder, path):
                self._make_writable(folder, path)

    def _is_shared(self, folder: str, path: str) -> bool:
        if not os.path.isdir(self.layout.shared) or kind_of(self.layout.shared, path) == "missing":
            return False
        return _link_target(folder, path) == self._target(path)

    def _check_kind(self, folder: str, path: str, rendered: t.Collection[str]) -> None:
        """:raises LampError: ``release_shared_missing`` where a folder would be made for what looks like a file"""
        parts = [*self.writable, *rendered]
        is_folder = path in self.folders or any((part + "/").startswith(path + "/") for part in parts)
        there = kind_of(folder, path) in ("folder", "file") or (
            os.path.isdir(self.layout.shared) and kind_of(self.layout.shared, path) != "missing"
        )
        if "." in os.path.basename(path) and not (is_folder or there or self._seeder(path) is self.writer):
            raise LampError(
                "release_shared_missing",
                f"{os.path.join(self.layout.shared, path)} is to be shared, but is not there, and neither the release"
                " nor a template brings it.",
                f"Put the file there, or render it by templates; if it is a folder, write {path}/ in shared_paths.",
            )

    def has_own(self, folder: str, path: str) -> bool:
        """Whether the release in ``folder`` has a file or a folder of its own at the shared ``path``, or in it."""
        top = self.shared_above(path) or path
        return kind_of(folder, top) in ("folder", "file") and kind_of(folder, path) in ("folder", "file")

    def check_movable(self, folder: str) -> None:
        """:raises LampError: ``release_shared_twice`` where both the release that lived and shared/ have something"""
        for path in self.not_needed():
            if self.has_own(folder, path) and not is_empty_folder(folder, path) and not self._is_moved(folder, path):
                raise self._twice(folder, path, "holds something already")

    def _is_moved(self, folder: str, path: str) -> bool:
        """Whether the file in the release is the one in shared/: a run was killed before the link took its place."""
        above, name = os.path.split(path)
        with contextlib.suppress(FileNotFoundError), opened(self.layout.shared, above) as parent:
            with opened(folder, above) as source:
                names = [os.stat(name, dir_fd=place, follow_symlinks=False) for place in (source, parent)]
            return os.path.samestat(*names)
        return False

    def _move(self, folder: str, path: str) -> None:
        """Make shared/``path`` of what the release has there, which stays in reach but for a moment.

        It is given to its owner before: of what has moved, no later run would know whether it was.
        """
        _durable.make_folder(self.layout.shared)
        above, name = os.path.split(path)
        with opened(self.layout.shared, above, self.owner) as parent:
            with self._linking(folder, path) as source:
                now = os.stat(name, dir_fd=source, follow_symlinks=False)
                if self._seeder(path) is self.writer and not self.writer.owns(now):
                    own_tree(source, name, self.writer)
                try:
                    if stat.S_ISREG(now.st_mode):  # a second name, until the link takes the place of the first
                        if is_empty_folder(self.layout.shared, path):
                            os.rmdir(name, dir_fd=parent)
                        if not self._is_moved(folder, path):
                            os.link(name, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
                        os.fsync(parent)
                    elif is_empty_folder(folder, path) and kind_of(self.layout.shared, path) != "missing":
                        os.rmdir(name, dir_fd=source)
                    else:
                        os.rename(name, name, src_dir_fd=source, dst_dir_fd=parent)
                except OSError as error:
                    raise self._twice(folder, path, f"cannot take it over ({error.strerror})") from error
            os.fsync(parent)

    def _twice(self, folder: str, path: str, why: str) -> LampError:
        return LampError(
            "release_shared_twice",
            f"{os.path.join(folder, path)}, in a release that is or was live, is to be shared, but"
            f" {os.path.join(self.layout.shared, path)} {why}.",
            f"Move by hand into {os.path.join(self.layout.shared, path)} what is to be kept, and remove the other; or"
            " deploy another build, which leaves this release as it is.",
        )

    def _seeder(self, path: str) -> Owner:
        """Whose a shared path is that is seeded."""
        return self.writer if any((path + "/").startswith(outer + "/") for outer in self.writable) else self.owner

    def _seed(self, folder: str, path: str) -> None:
        """Make shared/``path``: from what the release has there, or an empty folder; whole or not at all."""
        _durable.make_folder(self.layout.shared)
        above, name = os.path.split(path)
        owner = self._seeder(path)
        brought = kind_of(folder, path)
        there = kind_of(self.layout.shared, path) != "missing"
        if there:
            if brought not in ("folder", "file") or not is_empty_folder(self.layout.shared, path):
                return
            owner = self._owner_now(path)
        with opened(self.layout.shared, above, self.owner) as parent:
            made = temporary(parent)
            try:
                if brought in ("folder", "file"):
                    with opened(folder, above) as source:
                        copy_tree(source, name, parent, made, owner)
                else:
                    os.mkdir(made, 0o700, dir_fd=parent)
                    with opened_folder(parent, made) as number:
                        owner.own(number, owner.folder)
                if there and brought == "file":
                    os.rmdir(name, dir_fd=parent)
                os.rename(made, name, src_dir_fd=parent, dst_dir_fd=parent)  # for a folder, an empty one gives way
            except OSError as error:
                remove(parent, made)
                if error.errno in FIRST:
                    return
                if error.errno == errno.EBUSY:
                    raise self._mounted(path) from error
                raise
            os.fsync(parent)

    def _mounted(self, path: str) -> LampError:
        return LampError(
            "release_shared_mount",
            f"{os.path.join(self.layout.shared, path)} is an empty mount point: what the release brings there cannot"
            " take its place.",
            "Copy it there by hand once, or leave it out of the release (deploy_exclude in a deploy).",
        )

    def _owner_now(self, path: str) -> Owner:
        """Whose shared/``path`` is, so that it stays theirs when it is seeded."""
        with opened(self.layout.shared, path) as here:
            now = os.fstat(here)
            mode = stat.S_IMODE(now.st_mode)
            return Owner(now.st_uid, now.st_gid, mode, mode & 0o666)

    def _link(self, folder: str, path: str) -> None:
        away = ""
        with self._linking(folder, path) as parent:
            if kind_of(folder, path) == "folder":
                check_unmounted(os.path.join(folder, path))
                away = self.layout.release(TEMPORARY + secrets.token_hex(8))
                os.rename(os.path.basename(path), away, src_dir_fd=parent)
        if away:
            remove_tree(away)

    @contextlib.contextmanager
    def _linking(self, folder: str, path: str) -> t.Iterator[int]:
        """Put the link in the place of ``path``; meanwhile the folder that it is in is open.

        No link can replace a folder in one step, so that this has to be gone by the end: last of all, as the release
        may be live, and lacks it from then on. The link is ready before.
        """
        above, name = os.path.split(path)
        with opened(folder, above, self.owner) as parent:
            link = temporary(parent)
            os.symlink(self._target(path), link, dir_fd=parent)
            try:
                yield parent
                os.rename(link, name, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                remove(parent, link)
                raise

    def _target(self, path: str) -> str:
        """From releases/<id>/<path> to shared/<path>, by where they really are: ``releases`` may be a link itself."""
        above = os.path.join(os.path.realpath(self.layout.releases), "id", os.path.dirname(path))
        return os.path.relpath(os.path.join(os.path.realpath(self.layout.root), "shared", path), above)

    def place(self, folder: str, path: str, lived: bool = False) -> tuple[str, str]:
        """The trusted root, and the path below it, where ``path`` of the release in ``folder`` really is.

        :param lived: whether what the release has there is about to become shared as it is
        """
        moves = lived and self.has_own(folder, path)
        return (self.layout.shared, path) if self.shared_above(path) and not moves else (folder, path)

    def _is_writable(self, folder: str, path: str) -> bool:
        root, path = self.place(folder, path)
        with contextlib.suppress(FileNotFoundError), opened(root, path) as here:
            return self.writer.owns(os.fstat(here))
        return False

    def _make_writable(self, folder: str, path: str) -> None:
        root, path = self.place(folder, path)
        above, name = os.path.split(path)
        with opened(root, above, self.owner) as parent:
            kind = kind_of(root, path)
            if kind == "missing":
                os.mkdir(name, 0o700, dir_fd=parent)
            elif kind == "folder" and root == folder:
                own_tree(parent, name, self.writer)
                return
        with opened(root, path) as here:
            self.writer.own(here, self.writer.folder)


def is_empty_folder(root: str, path: str) -> bool:
    """Whether ``path`` below ``root`` is a folder with nothing in it."""
    if kind_of(root, path) != "folder":
        return False
    with opened(root, path) as here:
        return not os.listdir(here)


def _link_target(folder: str, path: str) -> str | None:
    above, name = os.path.split(path)
    try:
        with opened(folder, above) as parent:
            return os.readlink(name, dir_fd=parent)
    except OSError:
        return None
