# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work below folders that somebody else may write to, as root, and never through a link that they planted.

Every component below a trusted root is opened from its parent's descriptor without following links.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._durable import DEAD_SECONDS
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release.layout import TEMPORARY

LEFT = re.compile(re.escape(TEMPORARY) + r"[0-9a-f]{16}\Z")
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class Owner:
    """Who owns what is written, and its modes; ``uid`` and ``gid`` are -1 where they stay as they are."""

    def __init__(self, uid: int = -1, gid: int = -1, folder: int = 0o755, file: int = 0o644) -> None:
        self.uid = uid
        self.gid = gid
        self.folder = folder
        self.file = file

    def own(self, descriptor: int, mode: int) -> None:
        """Set the mode of what is open, then give it to this owner: by that, a later run knows that it was done."""
        os.fchmod(descriptor, mode)
        if self.uid != -1 or self.gid != -1:
            os.fchown(descriptor, self.uid, self.gid)

    def owns(self, now: os.stat_result) -> bool:
        """Whether it is this owner's already."""
        return self.uid in (-1, now.st_uid) and self.gid in (-1, now.st_gid)

    def file_mode(self, executable: bool) -> int:
        """The mode of a file; who may read an executable may run it."""
        return self.file | ((self.file & 0o444) >> 2) if executable else self.file


@contextlib.contextmanager
def opened(root: str, path: str, owner: Owner | None = None) -> t.Iterator[int]:
    """A descriptor of the folder ``path`` below ``root``; with ``owner``, missing folders are made.

    :raises LampError: ``release_unsafe_path`` where a component is a link or no folder
    """
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in [part for part in path.split("/") if part]:
            below = _enter(at, name, os.path.join(root, path), owner)
            os.close(at)
            at = below
        yield at
    finally:
        os.close(at)


def _enter(parent: int, name: str, whole: str, owner: Owner | None) -> int:
    try:
        if owner is not None:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent)
        below = os.open(name, FOLDER_FLAGS, dir_fd=parent)
    except NotADirectoryError as error:
        raise unsafe(whole, name) from error
    except OSError as error:
        if error.errno == errno.ELOOP:  # a symbolic link
            raise unsafe(whole, name) from error
        raise
    if owner is not None and _is_just_made(below, owner):
        owner.own(below, owner.folder)
    return below


def _is_just_made(folder: int, owner: Owner) -> bool:
    """Whether it is as it was made: now, or by a run that was killed before it gave the folder to its owner."""
    now = os.fstat(folder)
    modes = (0o700, owner.folder)
    return now.st_uid == os.geteuid() and now.st_mode & 0o777 in modes and not os.listdir(folder)


def unsafe(whole: str, name: str) -> LampError:
    """The error for a path that cannot be trusted."""
    return LampError(
        "release_unsafe_path",
        f"{name} in {whole} is a symbolic link or a file where a folder is needed.",
        "Replace it by a folder; links on the way are refused because the web server may have planted them.",
    )


def kind_of(root: str, path: str) -> str:
    """``missing``, ``folder``, ``file``, ``link`` or ``other``: what ``path`` below ``root`` is."""
    folder, name = os.path.split(path)
    try:
        with opened(root, folder) as parent:
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return "missing"
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    return "link" if stat.S_ISLNK(mode) else "other"


def temporary(parent: int) -> str:
    """A name in the open folder ``parent`` for what is not whole yet. What killed runs left there long ago goes.

    Not what is young: where hosts have the folder in common, another one may be at work on it.
    """
    for name in filter(LEFT.match, os.listdir(parent)):
        with contextlib.suppress(FileNotFoundError):
            if os.stat(name, dir_fd=parent, follow_symlinks=False).st_mtime < time.time() - DEAD_SECONDS:
                remove(parent, name)
    return TEMPORARY + secrets.token_hex(8)


def remove(parent: int, name: str) -> None:
    """Remove ``name`` from the open folder ``parent``, whatever it is, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        try:
            os.unlink(name, dir_fd=parent)
        except IsADirectoryError:
            shutil.rmtree(f"/proc/self/fd/{parent}/{name}", ignore_errors=True)


def read_file(root: str, path: str) -> tuple[bytes, os.stat_result] | None:
    """The contents of the file ``path`` below ``root``, and whose it is; none where there is no file."""
    above, name = os.path.split(path)
    with contextlib.suppress(FileNotFoundError), opened(root, above) as parent:
        if stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
            with os.fdopen(number, "rb") as stream:
                return stream.read(), os.fstat(number)
    return None


def check_unmounted(path: str) -> None:
    """:raises LampError: ``release_mounted``, if something is mounted at or below ``path``: rmtree would empty it"""
    real = os.path.realpath(path)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        points = [re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line.split()[4]) for line in stream]
    inside = [point for point in points if (point + "/").startswith(real + "/")]
    if inside:
        raise LampError(
            "release_mounted",
            f"{inside[0]} is a mount point, so that {path} is not removed: what is mounted would be emptied.",
            f"Unmount it (umount {inside[0]}), and repeat; share such a folder by release_shared_paths.",
        )


def remove_tree(path: str) -> None:
    """Remove a folder or a link; rmtree itself does not follow links. :raises LampError: ``release_mounted``"""
    if os.path.islink(path) or not os.path.isdir(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    else:
        check_unmounted(path)
        shutil.rmtree(path)


def write_file(parent: int, name: str, source: t.IO[bytes], owner: Owner, mode: int) -> None:
    """Write a new file ``name`` in the open folder ``parent``."""
    number = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=parent)
    with os.fdopen(number, "wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
        file.flush()
        owner.own(number, mode)


def copy_tree(source: int, child: str, parent: int, name: str, owner: Owner) -> None:
    """Copy ``child`` in the open folder ``source`` to the new ``name`` in the open folder ``parent``.

    Links stay links and are not followed. What is no file is left out, and so is a file that is not of whom its folder
    is of and has a second name, which may lie anywhere. Who could not read a file cannot read its copy.
    """
    mode = os.stat(child, dir_fd=source, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink(child, dir_fd=source), name, dir_fd=parent)
    elif stat.S_ISDIR(mode):
        with opened_folder(source, child) as inner:
            os.mkdir(name, 0o700, dir_fd=parent)
            with opened_folder(parent, name) as below:
                for item in sorted(os.listdir(inner)):
                    copy_tree(inner, item, below, item, owner)
                owner.own(below, owner.folder)
    elif stat.S_ISREG(mode):
        number = os.open(child, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=source)
        with os.fdopen(number, "rb") as content:
            now = os.fstat(number)
            if stat.S_ISREG(now.st_mode) and (now.st_nlink == 1 or now.st_uid == os.fstat(source).st_uid):
                others = 0o770 | now.st_mode
                write_file(parent, name, content, owner, owner.file_mode(bool(now.st_mode & stat.S_IXUSR)) & others)


@contextlib.contextmanager
def opened_folder(parent: int, name: str) -> t.Iterator[int]:
    """A descriptor of the folder ``name`` in the open folder ``parent``."""
    number = os.open(name, FOLDER_FLAGS, dir_fd=parent)
    try:
        yield number
    finally:
        os.close(number)


def own_tree(parent: int, name: str, owner: Owner) -> None:
    """Give ``name`` in the open folder ``parent``, and what is in it, to ``owner``; a folder after all that it holds.

    Links stay as they are and are not followed; a file with a second name, which may lie anywhere, is left alone. What
    vanishes meanwhile is not missed.
    """
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            with opened_folder(parent, name) as number:
                for child in os.listdir(number):
                    own_tree(number, child, owner)
                owner.own(number, owner.folder)
        elif stat.S_ISREG(mode):
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
            try:
                now = os.fstat(file)
                if stat.S_ISREG(now.st_mode) and now.st_nlink == 1:
                    owner.own(file, owner.file_mode(bool(now.st_mode & stat.S_IXUSR)))
            finally:
                os.close(file)
