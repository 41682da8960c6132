# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release consists of: sorted entries of folders, files and links, and the id that follows from them.

The same rules are checked where a release is built and again on every host before anything is written.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

SCHEMA = 1
ID_LENGTH = 16
NAME = ".lamp-manifest.json"  # the package's first member; a release cannot have a file of that name
MAX_LINKS = 40
MAX_DEPTH = 100  # of folders: what walks a tree does so one call within the other

FOLDER, FILE, EXECUTABLE, LINK = "d", "f", "x", "l"


class Entry(t.NamedTuple):
    """One path of a release: ``value`` is a file's SHA-256 or a link's target, ``size`` a file's bytes."""

    path: str
    kind: str
    value: str = ""
    size: int = 0

    @property
    def is_file(self) -> bool:
        """Whether this is a file, executable or not."""
        return self.kind in (FILE, EXECUTABLE)


class Manifest:
    """The sorted entries of one release. :raises LampError: ``artifact_unsafe_entry``, naming the entry"""

    def __init__(self, entries: t.Iterable[Entry], any_links: bool = False) -> None:
        """``any_links``: links may lead anywhere, as in a source, of which not all has to come into the release."""
        self.entries = sorted(entries)
        _check(self.entries, any_links)

    @property
    def id(self) -> str:
        """The release's id: it depends on names, executable bits, contents and link targets, and on nothing else."""
        lines = json.dumps([[e.path, e.kind, e.value] for e in self.entries], separators=(",", ":"))
        return hashlib.sha256(f"lamp.cluster release {SCHEMA}\n{lines}".encode()).hexdigest()[:ID_LENGTH]

    @property
    def files(self) -> list[Entry]:
        """The files alone."""
        return [entry for entry in self.entries if entry.is_file]

    @property
    def size(self) -> int:
        """The size of all files together."""
        return sum(entry.size for entry in self.entries)

    def to_json(self) -> str:
        """The manifest as a text that ``from_json`` reads."""
        return json.dumps({"schema": SCHEMA, "entries": [list(entry) for entry in self.entries]}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """:raises LampError: ``release_bad_package``"""
        try:
            data = json.loads(text)
            if data["schema"] != SCHEMA:
                raise ValueError(f"schema {data['schema']}")
            entries = [
                Entry(str(path), str(kind), str(value), int(size)) for path, kind, value, size in data["entries"]
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise LampError(
                "release_bad_package",
                f"The package's manifest cannot be read: {error}.",
                "Build it again with lamp.cluster.artifact of the same version of this collection.",
            ) from error
        return cls(entries)


def refuse(path: str, why: str) -> LampError:
    """The error for an entry that no release may have."""
    return LampError(
        "artifact_unsafe_entry",
        f"{path} {why}; such an entry cannot be part of a release.",
        "Remove it from the source, or leave it out with exclude, which applies to what build commands leave.",
    )


def source_changed(path: str) -> LampError:
    """The error for a file that is not what it was when the release got its id."""
    return LampError(
        "artifact_source_changed",
        f"{path} changed while the release was made of it.",
        "See that nothing writes to the source meanwhile, such as a build or a checkout, and run again.",
    )


def check_name(path: str) -> None:
    """:raises LampError: unless ``path`` is relative, plain (no ``.`` or ``..``) and UTF-8"""
    parts = path.split("/")
    if path.startswith("/"):
        raise refuse(path, "is an absolute name")
    if ".." in parts:
        raise refuse(path, "leads out of the tree by '..'")
    if "" in parts or "." in parts or "\0" in path:
        raise refuse(repr(path), "is not a plain name")
    if len(parts) > MAX_DEPTH:
        raise refuse(f"{path[:MAX_DEPTH]}…", f"lies in more than {MAX_DEPTH} folders")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise refuse(repr(path), "is not UTF-8") from None
    if path == NAME:
        raise refuse(path, "has the name of the manifest")


def _check(entries: list[Entry], any_links: bool) -> None:
    """No doubles, no path below something that is not a folder, no link that leaves the tree."""
    kinds: dict[str, str] = {}
    links = {entry.path: entry.value for entry in entries if entry.kind == LINK}
    for entry in entries:
        check_name(entry.path)
        parent = entry.path.rpartition("/")[0]
        if entry.path in kinds:
            raise refuse(entry.path, "comes twice")
        if entry.kind not in (FOLDER, FILE, EXECUTABLE, LINK):
            raise refuse(entry.path, "is neither a file nor a folder nor a link")
        if parent and kinds.get(parent) != FOLDER:
            raise refuse(entry.path, "does not lie in a folder of the tree")
        kinds[entry.path] = entry.kind
    for path in () if any_links else links:
        _follow(path, links)


def _follow(path: str, links: dict[str, str]) -> None:
    """Walk where the link leads, through other links, the way the kernel does. :raises LampError: when it gets out"""
    at = path.split("/")[:-1]
    todo = _steps(path, links[path])
    followed = 0
    while todo:
        step = todo.pop(0)
        if step == "..":
            if not at:
                raise refuse(path, f"is a symbolic link that leaves the tree (to {links[path]})")
            at.pop()
            continue
        at.append(step)
        here = "/".join(at)
        if here in links:
            followed += 1
            if followed > MAX_LINKS:
                raise refuse(path, f"is a symbolic link that leads in a circle (to {links[path]})")
            at.pop()
            todo = _steps(path, links[here]) + todo


def _steps(path: str, target: str) -> list[str]:
    if target.startswith("/"):
        raise refuse(path, f"is a symbolic link to an absolute name ({target})")
    if not target:
        raise refuse(path, "is a symbolic link to nothing")
    return [step for step in target.split("/") if step not in ("", ".")]
