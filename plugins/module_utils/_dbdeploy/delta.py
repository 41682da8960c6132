# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Delta files: their numbers, their parts, their tag."""

from __future__ import annotations

import hashlib
import re
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import Statement, digest, split
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

FILE_NAME = re.compile(r"(\d+).*\.sql")
UNDO = re.compile(r"^[ \t]*--[ \t]*(?://)?[ \t]*@UNDO[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
TAG = re.compile(r"^[ \t]*--[ \t]*@DROP-SESSIONS[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
AUTOCOMMIT = re.compile(r"^SET\b.*\bautocommit\b", re.IGNORECASE)
LARGEST = 2**63 - 1
TAG_LENGTH = 190  # characters of a tag in the table of drops


def drop_tag(text: str) -> str:
    """``text`` as it fits the table of drops: a long one is cut, and told from others by its digest."""
    return text if len(text) <= TAG_LENGTH else f"{text[: TAG_LENGTH - 65]} {hashlib.sha256(text.encode()).hexdigest()}"


class Delta:
    """One delta: ``number``, ``name`` (the file's), ``statements``, ``undo``, ``tagged``, ``checksum``."""

    def __init__(self, number: int, name: str, text: str, session_table: str = "") -> None:
        self.number = number
        self.name = name
        marker = UNDO.search(text)
        do_part = text[: marker.start()] if marker else text
        self.statements: list[Statement] = split(do_part, name)
        # The line breaks before the undo part keep its line numbers true.
        undo_part = "\n" * text.count("\n", 0, marker.end()) + text[marker.end() :] if marker else ""
        self.undo: list[Statement] = split(undo_part, name)
        self.checksum = digest(self.statements)
        for statement in self.statements + self.undo:
            _refuse(name, statement)
        empties = session_table and any(statement.drops_sessions(session_table) for statement in self.statements)
        self.tagged = bool(TAG.search(do_part) or empties)

    @property
    def drop_tag(self) -> str:
        """The tag that its session drop is recorded under."""
        return drop_tag(self.name)

    def summary(self) -> dict[str, t.Any]:
        """What the module returns of it."""
        return {
            "number": self.number,
            "name": self.name,
            "checksum": self.checksum,
            "statements": len(self.statements),
            "drops_sessions": self.tagged,
        }


def _refuse(name: str, statement: Statement) -> None:
    """:raises LampError: ``dbdeploy_refused`` for what would take the records away from under the run"""
    if statement.first_word == "USE" or AUTOCOMMIT.search(statement.normal):
        raise LampError(
            "dbdeploy_refused",
            f"{name}, line {statement.line}: {statement.text[:80]} would change where, or how, deltas are recorded.",
            "Take it out: name tables as database.table, and leave transactions to the run.",
        )


def read(files: list[tuple[str, str]], session_table: str = "") -> tuple[list[Delta], list[str]]:
    """The deltas among ``files`` (pairs of name and text) by number, and the names of those that are none.

    :raises LampError: ``dbdeploy_number_too_large``, ``dbdeploy_duplicate``, ``dbdeploy_client_command``
    """
    found: dict[int, Delta] = {}
    ignored = []
    for name, text in sorted(files):
        match = FILE_NAME.fullmatch(name)
        if not match:
            ignored.append(name)
            continue
        number = int(match.group(1))
        if number > LARGEST:
            raise LampError(
                "dbdeploy_number_too_large", f"{name}: {number} is no 63-bit number.", "Give the delta a smaller one."
            )
        if number in found:
            raise LampError(
                "dbdeploy_duplicate",
                f"{found[number].name} and {name} are both delta {number}.",
                "Give one of them another number; nothing was run.",
            )
        found[number] = Delta(number, name, text, session_table)
    return [found[number] for number in sorted(found)], ignored
