# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that the controller rendered for this host, such as ``.env``: in the release, or in a path that is shared.

They are compared by reading them; nothing is recorded of them, not even a hash, as they may hold secrets. What a switch
replaces is kept while its run lasts (see replaced.py).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import stat
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _durable
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release.layout import relative
from ansible_collections.lamp.cluster.plugins.module_utils._release.paths import (
    Owner,
    kind_of,
    opened,
    read_file,
    temporary,
)
from ansible_collections.lamp.cluster.plugins.module_utils._release.shared import Furnishing

FindOwner = t.Callable[[str, str], Owner]


class File(t.NamedTuple):
    """One of them: where it goes in the release, what is in it, whose it is."""

    dest: str
    content: bytes
    owner: Owner


def is_right(file: File, found: tuple[bytes, os.stat_result] | None) -> bool:
    """Whether what was found in its place, as ``read_file`` returns it, is the file, and whose it is to be."""
    if found is None:
        return False
    content, now = found
    return file.owner.owns(now) and stat.S_IMODE(now.st_mode) == file.owner.file and content == file.content


class Rendered:
    """All of them; ``text`` is what the action plugin made: JSON, contents in base64. ``own`` are this collection's."""

    def __init__(self, text: str | None, own: list[File], furnishing: Furnishing, find_owner: FindOwner) -> None:
        self.furnishing = furnishing
        self.files = own + [self._file(item, find_owner) for item in json.loads(text or "[]")]
        for file in self.files:
            if sum(file.dest == other.dest for other in self.files) > 1:
                raise LampError(
                    "release_bad_template", f"There are two templates for {file.dest}.", "Leave one of them out."
                )

    def _file(self, item: dict[str, str], find_owner: FindOwner) -> File:
        dest = relative(item["dest"], "templates")
        for path in self.furnishing.writable:
            if dest == path or dest.startswith(path + "/"):
                raise LampError(
                    "release_template_writable",
                    f"The template for {dest} would lie in {path}, where the web server could replace it.",
                    "Give it another place, or take the path out of writable_paths.",
                )
        owner = find_owner(item["owner"], item["group"])
        owner.file = int(item["mode"], 8)
        return File(dest, base64.b64decode(item["content"]), owner)

    @property
    def places(self) -> set[str]:
        """Where they go in a release: what it brings there itself is not used."""
        return {file.dest for file in self.files}

    def due(self, folder: str, lived: bool = False) -> list[File]:
        """Those that are missing or differ for the release in ``folder``."""
        return [
            file
            for file in self.files
            if not is_right(file, read_file(*self.furnishing.place(folder, file.dest, lived)))
        ]

    def is_in_use(self, folder: str, file: File, live: bool) -> bool:
        """Whether the live release may read what is there now: then it is to change with the switch, no sooner."""
        root, path = self.furnishing.place(folder, file.dest, live)
        if root == folder:
            return live
        return os.path.isdir(root) and kind_of(root, path) == "file"

    def check(self, folder: str, files: t.Iterable[File], lived: bool) -> None:
        """See that a switch can write ``files``, too. :raises LampError: ``release_unsafe_path``"""
        for file in files:
            root, path = self.furnishing.place(folder, file.dest, lived)
            if os.path.isdir(root):
                check_place(root, path)

    def write(self, folder: str, files: t.Iterable[File]) -> None:
        """Put ``files`` in their places, each whole at any moment. :raises LampError: ``release_unsafe_path``"""
        for file in files:
            root, path = self.furnishing.place(folder, file.dest)
            _durable.make_folder(root)
            above, name = os.path.split(path)
            with opened(root, above, self.furnishing.owner) as parent:
                check_place(root, path)
                replace(parent, name, file)


def check_place(root: str, path: str) -> None:
    """:raises LampError: ``release_unsafe_path``, unless ``path`` below ``root`` is a file or free for one"""
    kind = kind_of(root, path)
    if kind not in ("missing", "file"):
        raise LampError(
            "release_unsafe_path",
            f"{os.path.join(root, path)} is a {kind}, where a template is to make a file.",
            "Give the template another dest; one in a shared path needs that path in shared_paths.",
        )


def replace(parent: int, name: str, file: File) -> None:
    """Put the file in its place in the open folder ``parent``, whole at any moment."""
    made = temporary(parent)
    number = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=parent)
    try:
        with os.fdopen(number, "wb") as stream:
            stream.write(file.content)
            stream.flush()
            file.owner.own(number, file.owner.file)
            os.fsync(number)
        os.rename(made, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(made, dir_fd=parent)
        raise
    os.fsync(parent)
