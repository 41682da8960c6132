# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A package: a deterministic tar.gz of a release's files, its manifest in front.

A full package holds every file. A partial one holds those that a host cannot take from a release it already has.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release.manifest import (
    EXECUTABLE,
    FOLDER,
    LINK,
    NAME,
    Entry,
    Manifest,
)

LEVEL = 6


def missing_from(manifest: Manifest, base: Manifest | None) -> list[Entry]:
    """The files of ``manifest`` whose content no file of ``base`` has."""
    known = {entry.value for entry in base.files} if base else set()
    return [entry for entry in manifest.files if entry.value not in known]


def write(target: str, tree: str, manifest: Manifest, base: Manifest | None = None) -> None:
    """Write the package of ``tree`` to the file ``target``; with ``base``, without the files whose content that has.

    The same manifests always give the same bytes.
    """
    wanted = {entry.path for entry in missing_from(manifest, base)}
    with open(target, "wb") as raw, gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            text = json.dumps({**json.loads(manifest.to_json()), "base": _sources(manifest, base)}).encode()
            tar.addfile(_member(NAME, size=len(text)), io.BytesIO(text))
            for entry in manifest.entries:
                _add(tar, tree, entry, wanted)
        packed.flush()
        raw.flush()
        os.fsync(raw.fileno())


def _sources(manifest: Manifest, base: Manifest | None) -> dict[str, str]:
    """Which file of ``base`` has the content of each file that the package leaves out."""
    known = {entry.value: entry.path for entry in base.files} if base else {}
    same = {(entry.path, entry.value) for entry in base.files} if base else set()
    return {
        entry.path: entry.path if (entry.path, entry.value) in same else known[entry.value]
        for entry in manifest.files
        if entry.value in known
    }


def _add(tar: tarfile.TarFile, tree: str, entry: Entry, wanted: set[str]) -> None:
    if entry.kind == FOLDER:
        member = _member(entry.path, mode=0o755)
        member.type = tarfile.DIRTYPE
        tar.addfile(member)
    elif entry.kind == LINK:
        member = _member(entry.path, mode=0o777)
        member.type = tarfile.SYMTYPE
        member.linkname = entry.value
        tar.addfile(member)
    elif entry.path in wanted:
        with open(os.path.join(tree, entry.path), "rb") as content:
            mode = 0o755 if entry.kind == EXECUTABLE else 0o644
            tar.addfile(_member(entry.path, mode=mode, size=entry.size), content)


def _member(name: str, mode: int = 0o644, size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode = mode
    member.size = size
    return member


class Reader:
    """A package on a host: its manifest, what it takes from its base (path to path there), the files that it brings."""

    def __init__(self, content: t.IO[bytes]) -> None:
        try:
            self._tar = tarfile.open(fileobj=content, mode="r|gz")  # noqa: SIM115 (read as a stream until files() ends)
            first = self._tar.next()
            manifest = self._tar.extractfile(first) if first is not None and first.name == NAME else None
            if manifest is None:
                raise tarfile.ReadError(f"its first member is not {NAME}")
            text = manifest.read()
            self.manifest = Manifest.from_json(text)
            self.base: dict[str, str] = json.loads(text).get("base", {})
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, OSError) as error:
            raise _bad(error) from error

    def files(self) -> t.Iterator[tuple[str, t.IO[bytes]]]:
        """Path and content of each file in the package; the rest of a member goes unread when the caller moves on."""
        try:
            for member in self._tar:
                content = self._tar.extractfile(member) if member.isreg() else None
                if content is not None:
                    yield member.name, content
        except (tarfile.TarError, EOFError, gzip.BadGzipFile) as error:
            raise _bad(error) from error


def _bad(error: Exception) -> LampError:
    return LampError(
        "release_bad_package",
        f"The artifact is not a package of this collection, or it is damaged: {error}.",
        "Give the archive that lamp.cluster.artifact returned.",
    )
