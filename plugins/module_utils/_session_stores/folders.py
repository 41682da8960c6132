# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that an application can write to: opened, copied and exchanged without trusting a name in them."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NOT_A_FOLDER = (errno.ENOTDIR, errno.ELOOP, errno.ENOENT)  # a file, a link, or gone meanwhile
EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
LINKS = 40


def _no_folder(path: str, why: str | None) -> LampError:
    return LampError(
        "session_purge_no_folder",
        f"The session folder {path} cannot be opened: {why}.",
        "Give the folder itself, not a link to it, and run the play as root.",
    )


def only_root_writes(descriptor: int) -> bool:
    """Whether nobody but root (and who runs this) can make, rename or remove names in the folder."""
    status = os.fstat(descriptor)
    return status.st_uid in {0, os.geteuid()} and not status.st_mode & 0o022


def open_folder(path: str, itself: bool = True) -> int:
    """Open ``path`` from the root on, name by name; the last name may not be a link, unless ``itself`` is false.

    A link on the way is followed only where nobody but root could have put it.

    :raises LampError: ``session_purge_no_folder``
    """
    descriptor = os.open("/", OPEN)
    todo = [part for part in path.split("/") if part not in ("", ".")]
    links = 0
    try:
        while todo:
            name = todo.pop(0)
            try:
                below = os.open(name, OPEN, dir_fd=descriptor)
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP) or (itself and not todo):
                    raise _no_folder(path, error.strerror) from error
                links += 1
                if links > LINKS or not only_root_writes(descriptor):
                    raise _no_folder(
                        path, f"{name} is not a folder, or a link that others than root can change"
                    ) from error
                target = _target(path, descriptor, name)
                todo = [part for part in target.split("/") if part not in ("", ".")] + todo
                if target.startswith("/"):
                    os.close(descriptor)
                    descriptor = os.open("/", OPEN)
                continue
            os.close(descriptor)
            descriptor = below
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _target(path: str, descriptor: int, name: str) -> str:
    try:
        return os.readlink(name, dir_fd=descriptor)
    except OSError as error:
        raise _no_folder(path, f"{name} is not a folder") from error


def open_below(folder: int, name: str) -> int | None:
    """The folder ``name`` in an open folder; None when it is a file, a link, or gone. Other errors are raised."""
    try:
        return os.open(name, OPEN, dir_fd=folder)
    except OSError as error:
        if error.errno in NOT_A_FOLDER:
            return None
        raise


@contextlib.contextmanager
def closing(descriptor: int) -> t.Iterator[int]:
    """Close ``descriptor`` at the end."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def make_private(parent: int, name: str) -> int:
    """Make the folder ``name`` in ``parent``, for nobody but us as yet; it stays open."""
    os.mkdir(name, 0o700, dir_fd=parent)
    return os.open(name, OPEN, dir_fd=parent)


def dress(made: int, model: int) -> None:
    """Give a folder the owner, mode, access list and label of another."""
    status = os.fstat(model)
    os.fchown(made, status.st_uid, status.st_gid)
    attributes = _attributes(model)
    for attribute in set(_attributes(made)) - set(attributes):
        if attribute.startswith("system."):  # access lists, which the folder above gave it
            os.removexattr(made, attribute)
    os.fchmod(made, stat.S_IMODE(status.st_mode))
    for attribute in attributes:
        os.setxattr(made, attribute, os.getxattr(model, attribute))


def _attributes(folder: int) -> list[str]:
    """The names of its attributes; none on a file system that has none."""
    try:
        return os.listxattr(folder)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return []


def link(name: str, folder: int, other: int) -> None:
    """Give the file ``name`` in a folder the same name in another, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.link(name, name, src_dir_fd=folder, dst_dir_fd=other, follow_symlinks=False)


def exchange(parent: int, one: str, other: str) -> bool:
    """Let two names in ``parent`` change places in one step; False where the system or file system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(parent, os.fsencode(one), parent, os.fsencode(other), EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.EBUSY, errno.EXDEV):
        return False
    raise OSError(number, os.strerror(number))
