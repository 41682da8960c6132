# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Split a script into the statements that the ``mariadb`` client would send.

Strings, quoted identifiers, the comment forms, ``/*! */`` and DELIMITER are read as the client reads them. Beyond the
client, the bodies of routines, triggers and events (``BEGIN … END`` and the statements that hold others) may do
without DELIMITER. What only the client could do (``source``, ``\\!`` …) is refused.
"""

from __future__ import annotations

import hashlib
import re

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

CLIENT_COMMANDS = frozenset(
    [
        "source",
        "system",
        "tee",
        "notee",
        "pager",
        "nopager",
        "edit",
        "ego",
        "go",
        "print",
        "clear",
        "connect",
        "rehash",
        "prompt",
        "charset",
        "nowarning",
        "warnings",
        "status",
        "resetconnection",
        "quit",
        "exit",
        "help",
        "costs",
    ]
)
ROUTINE = re.compile(
    r"\s*(CREATE\s+(OR\s+REPLACE\s+)?(DEFINER\s*=\s*\S+(\s*@\s*\S+)?\s+)?(AGGREGATE\s+)?"
    r"(PROCEDURE|FUNCTION|TRIGGER|EVENT|PACKAGE)\b|BEGIN\s+NOT\s+ATOMIC\b)",
    re.IGNORECASE,
)
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
DELIMITER = re.compile(r"delimiter(?:[ \t]+(\S+))?[^\n]*", re.IGNORECASE)
# After these words a statement begins, so that IF there is the statement and not the function.
BEFORE_STATEMENT = frozenset(
    [";", ":", ")", "ROW", "THEN", "ELSE", "DO", "LOOP", "REPEAT", "BEGIN", "DETERMINISTIC", "SQL", "DATA", "INVOKER"]
)
MAY_COMMIT = frozenset(["CALL", "DEALLOCATE", "EXECUTE", "PREPARE", "SET"])
IMPLICIT_COMMIT = frozenset(
    [
        "ALTER",
        "ANALYZE",
        "BEGIN",
        "CACHE",
        "CHANGE",
        "CHECK",
        "COMMIT",
        "CREATE",
        "DROP",
        "FLUSH",
        "GRANT",
        "INSTALL",
        "LOAD",
        "LOCK",
        "OPTIMIZE",
        "RENAME",
        "REPAIR",
        "RESET",
        "REVOKE",
        "ROLLBACK",
        "START",
        "STOP",
        "TRUNCATE",
        "UNINSTALL",
        "UNLOCK",
        "XA",
    ]
)


class Statement:
    """One statement: ``text`` as it is sent, ``line`` where it starts (from 1), ``normal`` for comparisons."""

    def __init__(self, text: str, line: int) -> None:
        self.text = text
        self.line = line

    @property
    def normal(self) -> str:
        """The statement without comments, and with one space for any white space outside of strings."""
        return normalise(self.text)

    @property
    def first_word(self) -> str:
        """The keyword that it begins with, in capitals; empty where there is none."""
        match = WORD.search(normalise(self.text).lstrip("( "))
        return match.group().upper() if match else ""

    @property
    def commits(self) -> bool:
        """Whether it ends the open transaction by itself, so that it is not undone by a rollback."""
        return self.first_word in IMPLICIT_COMMIT

    @property
    def may_commit(self) -> bool:
        """Whether it ends the open transaction, or may do so (a procedure, code in a comment)."""
        return self.commits or self.first_word in MAY_COMMIT or self.text.startswith("/*!")

    def drops_sessions(self, table: str) -> bool:
        """Whether it empties ``table``."""
        name = rf"(`?\w+`?\s*\.\s*)?`?{re.escape(table)}`?"
        return bool(re.fullmatch(rf"(TRUNCATE(\s+TABLE)?|DELETE\s+FROM)\s+{name}\s*", self.normal, re.IGNORECASE))


def _quoted_end(text: str, start: int) -> int:
    """Where the string or quoted identifier that begins at ``start`` ends (its last character plus one)."""
    quote, position = text[start], start + 1
    while position < len(text):
        if text[position] == "\\" and quote != "`":
            position += 2
        elif text[position] == quote:
            if text[position + 1 : position + 2] == quote:
                position += 2
            else:
                return position + 1
        else:
            position += 1
    return len(text)


def _comment_end(text: str, start: int, statement_empty: bool) -> int:
    """Where the comment that begins at ``start`` ends, or ``start`` where none begins; ``/*!`` and ``/*+`` are code."""
    if text[start] == "#":
        return _line_end(text, start)
    if text.startswith("--", start):
        after = text[start + 2 : start + 3]
        if not after or after.isspace() or statement_empty:
            return _line_end(text, start)
    if (
        text.startswith("/*", start)
        and text[start + 2 : start + 3] not in ("!", "+")
        and text[start + 2 : start + 4] != "M!"
    ):
        end = text.find("*/", start + 2)
        return len(text) if end < 0 else end + 2
    return start


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def normalise(text: str) -> str:
    """``text`` without comments and with single spaces, strings untouched."""
    parts: list[str] = []
    position = 0
    while position < len(text):
        if text[position] in "'\"`":
            end = _quoted_end(text, position)
            parts.append(text[position:end])
            position = end
            continue
        end = _comment_end(text, position, not "".join(parts).strip())
        if end > position or text[position].isspace():
            if parts and parts[-1] != " ":
                parts.append(" ")
            position = max(end, position + 1)
            continue
        parts.append(text[position])
        position += 1
    return "".join(parts).strip()


class _Nesting:
    """How deep the reader is inside a body that holds statements of its own."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.previous = ""

    def word(self, word: str, next_character: str) -> None:
        """Take note of a keyword."""
        if self.previous == "END":
            if word in ("IF", "LOOP", "WHILE", "REPEAT", "FOR", "CASE"):
                self._close_to(word)
            else:
                self._close_to("")
        if self.previous != "END":
            statement_if = word == "IF" and self.previous in BEFORE_STATEMENT
            repeats = word == "REPEAT" and next_character != "("
            if word in ("BEGIN", "CASE", "LOOP", "WHILE") or statement_if or repeats:
                self.open.append(word)
        self.previous = word

    def symbol(self, symbol: str) -> None:
        """Take note of a character that is no word."""
        if self.previous == "END":
            self._close_to("")
        self.previous = symbol

    def _close_to(self, kind: str) -> None:
        """Close what ``END kind`` closes: the innermost of that kind, or BEGIN or CASE for a plain END."""
        kinds = (kind,) if kind else ("BEGIN", "CASE")
        for index in range(len(self.open) - 1, -1, -1):
            if self.open[index] in kinds:
                del self.open[index:]
                return


class Splitter:
    """Reads one script; ``name`` is the file's, for messages."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text.lstrip("\ufeff").replace("\r\n", "\n")
        self.name = name
        self.position = 0
        self.delimiter = ";"
        self.statements: list[Statement] = []
        self.begin()

    def begin(self) -> None:
        """Start to collect the next statement."""
        self.parts: list[str] = []
        self.line = 0
        self.nesting = _Nesting()
        self.routine: bool | None = None

    def split(self) -> list[Statement]:
        """All statements, in their order."""
        while self.position < len(self.text):
            self.step()
        self.finish()
        return self.statements

    def step(self) -> None:
        """Read one token."""
        text, at = self.text, self.position
        empty = not self.parts
        if empty and self.at_line_start() and self.client_command():
            return
        if text[at] in "'\"`":
            self.take(_quoted_end(text, at))
            self.nesting.symbol("'")
            return
        if text.startswith(self.delimiter, at) and not (self.delimiter == ";" and self.inside_body()):
            self.position += len(self.delimiter)
            self.finish()
            return
        end = _comment_end(text, at, empty)
        if end > at:
            self.position = end
            if not empty:
                self.parts.append(" ")
            return
        if text[at] == "\\":
            self.refuse(text[at : at + 2])
        word = WORD.match(text, at)
        if word:
            self.take(word.end())
            self.nesting.word(word.group().upper(), text[word.end() : word.end() + 1])
        elif text[at].isspace() and empty:
            self.position += 1
        else:
            self.take(at + 1)
            if not text[at].isspace():
                self.nesting.symbol(text[at])

    def take(self, end: int) -> None:
        """Add the text up to ``end`` to the statement."""
        if not self.parts:
            self.line = self.text.count("\n", 0, self.position) + 1
        self.parts.append(self.text[self.position : end])
        self.position = end

    def inside_body(self) -> bool:
        """Whether a ``;`` here belongs to the body of a routine."""
        if not self.nesting.open and self.nesting.previous != "END":
            return False
        if self.routine is None:
            self.routine = bool(ROUTINE.match(normalise("".join(self.parts))))
        if self.nesting.previous == "END":
            self.nesting.symbol(";")
        return self.routine and bool(self.nesting.open)

    def at_line_start(self) -> bool:
        """Whether only white space stands before this place in its line."""
        start = self.text.rfind("\n", 0, self.position) + 1
        return not self.text[start : self.position].strip() and not self.text[self.position].isspace()

    def client_command(self) -> bool:
        """Obey DELIMITER; refuse other commands of the client."""
        line = self.text[self.position : _line_end(self.text, self.position)]
        word = WORD.match(line)
        name = word.group().lower() if word else ""
        if name == "delimiter":
            match = DELIMITER.match(line)
            if not match or not match.group(1) or "\\" in match.group(1):
                self.refuse("DELIMITER without a usable delimiter")
            else:
                self.delimiter = match.group(1)
            self.position += len(line)
            return True
        if name in CLIENT_COMMANDS and self.delimiter not in line:
            self.refuse(name)
        return False

    def refuse(self, command: str) -> None:
        """:raises LampError: always"""
        line = self.text.count("\n", 0, self.position) + 1
        raise LampError(
            "dbdeploy_client_command",
            f"{self.name}, line {line}: {command} is a command of the mysql client, not SQL.",
            "Take it out: a delta holds SQL alone (and DELIMITER).",
        )

    def finish(self) -> None:
        """Keep the statement that was collected, if there is any."""
        text = "".join(self.parts).strip()
        if text:
            self.statements.append(Statement(text, self.line))
        self.begin()


def split(text: str, name: str = "script") -> list[Statement]:
    """The statements of ``text``. :raises LampError: ``dbdeploy_client_command``"""
    return Splitter(text, name).split()


def digest(statements: list[Statement]) -> str:
    """SHA-256 over the statements, to which comments, white space and line ends do not count."""
    return hashlib.sha256("\0".join(statement.normal for statement in statements).encode()).hexdigest()
