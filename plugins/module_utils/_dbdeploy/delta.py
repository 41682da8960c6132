# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Delta files: their numbers, their parts, their tag."""

from __future__ import annotations

import hashlib
import re
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.script import Dialect, Parts, parts
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import (
    CALL,
    QUERY,
    Statement,
    digest,
)
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

FILE_NAME = re.compile(r"(\d+).*\.sql")
OWN_LOCKS = re.compile(r"\bRELEASE_ALL_LOCKS\b", re.IGNORECASE)
# Tells the server that text comes in another encoding than UTF-8; DEFAULT and a kept value are the connection's own.
NAMES = re.compile(
    r"\bSET\b.*?(?:\b(?:NAMES|CHARACTER\s+SET|CHARSET)\s+|\bcharacter_set_client\s*:?=\s*)['\"]?(?!utf8|DEFAULT\b|@)\w",
    re.IGNORECASE | re.DOTALL,
)
TO_SAVEPOINT = re.compile(r"\bTO\b", re.IGNORECASE)
AUTOCOMMIT = re.compile(r"^SET\b.*\bautocommit\b", re.IGNORECASE | re.DOTALL)
LINE_END = re.compile(r"\r\n|\r|\n")
FORK_MARKER = "--//@UNDO"
LARGEST = 2**63 - 1
TAG_LENGTH = 190  # characters of a tag in the table of drops


def drop_tag(text: str) -> str:
    """``text`` as it fits the table of drops: a long one is cut, and told from others by its digest."""
    return text if len(text) <= TAG_LENGTH else f"{text[: TAG_LENGTH - 65]} {hashlib.sha256(text.encode()).hexdigest()}"


class Delta:
    """One delta: ``number``, ``name`` (the file's), ``text``; the rest is read from the text when it is asked for.

    Of a thousand deltas that are applied nothing but the digest of their text is needed.
    """

    def __init__(
        self, number: int, name: str, text: str, session_table: str = "", dialect: Dialect | None = None
    ) -> None:
        self.number = number
        self.name = name
        self.text = text
        self.session_table = session_table
        self.dialect = dialect
        self.file_hash = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        self._parts: Parts | None = None
        self._checksum = ""
        self._summary: dict[str, t.Any] = {}

    @property
    def parts(self) -> Parts:
        """Its statements. :raises LampError: ``dbdeploy_client_command``, ``dbdeploy_refused``"""
        if self._parts is None:
            self._parts = parts(self.text, self.name, self.dialect)
            _refuse_rollback(self.name, self._parts.do)
            _refuse_rollback(self.name, self._parts.undo)
            for statement in self._parts.do + self._parts.undo:
                _refuse(self.name, statement)
                if self.dialect and self.dialect.recoded:
                    _refuse_encoding(self.name, statement)
        return self._parts

    @property
    def statements(self) -> list[Statement]:
        """The statements of the do part."""
        return self.parts.do

    @property
    def undo(self) -> list[Statement]:
        """The statements of the undo part."""
        return self.parts.undo

    @property
    def checksum(self) -> str:
        """The digest of the statements of the do part."""
        if not self._checksum:
            self._checksum = digest(self.statements)
        return self._checksum

    @property
    def fork_checksum(self) -> str:
        """The checksum that dbdeploy's fork has for this file; the fork refuses to run where it finds another."""
        lines = LINE_END.split(self.text)
        kept = (f"{line}\n" for line in (lines if lines[-1] else lines[:-1]) if line.strip() != FORK_MARKER)
        return hashlib.sha256("".join(kept).encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def tagged(self) -> bool:
        """Whether it drops the sessions: by its tag, or as it empties the table that they are in."""
        table = self.session_table
        return self.parts.tagged or bool(table and any(each.drops_sessions(table) for each in self.statements))

    @property
    def drop_tag(self) -> str:
        """The tag that its session drop is recorded under."""
        return drop_tag(self.name)

    def summary(self) -> dict[str, t.Any]:
        """What the module returns of it."""
        if not self._summary:
            self._summary = {
                "number": self.number,
                "name": self.name,
                "checksum": self.checksum,
                "statements": len(self.statements),
                "drops_sessions": self.tagged,
            }
        return dict(self._summary)

    def release(self) -> None:
        """Forget the statements; they can be read again."""
        self._parts = None


def _refuse(name: str, statement: Statement) -> None:
    """:raises LampError: ``dbdeploy_refused`` for what would take the records away from under the run"""
    code = statement.code
    own_locks = "_ALL_LOCKS" in code.upper() and OWN_LOCKS.search(code)  # to search all code by pattern takes long
    if statement.first_word in ("USE", "XA") or AUTOCOMMIT.search(code) or own_locks:
        raise LampError(
            "dbdeploy_refused",
            f"{name}, line {statement.line}: {statement.text[:80]} would change where, or how, deltas are recorded.",
            "Take it out: name tables as database.table, and leave transactions to the run.",
        )


def _refuse_rollback(name: str, statements: list[Statement]) -> None:
    """:raises LampError: ``dbdeploy_refused`` for a ROLLBACK of what no START TRANSACTION keeps from being committed"""
    begun = written = False
    for statement in statements:
        takes_back = statement.first_word == "ROLLBACK" and not TO_SAVEPOINT.search(statement.code)
        if takes_back and written and not begun:
            raise LampError(
                "dbdeploy_refused",
                f"{name}, line {statement.line}: this ROLLBACK would take back the statements before it, of which the"
                " client would have committed each.",
                "Take it out, or put START TRANSACTION in front of what it is to take back.",
            )
        if takes_back or statement.kind != QUERY:  # a procedure may begin one, too
            begun, written = statement.kind == CALL or statement.first_word in ("BEGIN", "START"), False
        else:
            written = written or statement.writes


def _refuse_encoding(name: str, statement: Statement) -> None:
    """:raises LampError: ``dbdeploy_refused`` for what would have the server read UTF-8 as something else"""
    if statement.setting and NAMES.match(statement.code):
        raise LampError(
            "dbdeploy_refused",
            f"{name}, line {statement.line}: {statement.text[:80]} is not the encoding that the text reaches the server"
            " in: the file is read in that of the option encoding, and sent in UTF-8.",
            "Take it out.",
        )


def read(
    files: list[tuple[str, str]], session_table: str = "", dialect: Dialect | None = None
) -> tuple[list[Delta], list[str]]:
    """The deltas among ``files`` (pairs of name and text) by number, and the names of those that are none.

    :raises LampError: ``dbdeploy_number_too_large``, ``dbdeploy_duplicate``
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
        found[number] = Delta(number, name, text, session_table, dialect)
    return [found[number] for number in sorted(found)], ignored
