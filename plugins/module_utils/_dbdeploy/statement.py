# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One SQL statement: its text, what it does to the open transaction, and what it leaves in the session."""

from __future__ import annotations

import hashlib
import itertools
import re

STRING = r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\""
QUOTED = re.compile(rf"({STRING}|`[^`]*`)", re.DOTALL)
SPACES = re.compile(r"\s+")
AROUND = re.compile(r" (?=[^\w\s$@])|(?<=[^\w\s$@]) ")  # a space beside what is no word
STRINGS = re.compile(STRING, re.DOTALL)
CODE_FRAME = re.compile(rf"({STRING}|`[^`]*`)|/\*M?!\d*|\*/", re.DOTALL)
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
LABELLED = re.compile(r"(?:`[^`]+`|\w+)\s*:(?!=)")
SET_FOR = re.compile(r"SET\s+STATEMENT\b.*?\bFOR\s+(?=[A-Za-z(])", re.IGNORECASE | re.DOTALL)
# What SET changes that is not the session's, or of it only what comes next.
NOT_OF_SESSION = re.compile(r"SET\s+(@@)?(GLOBAL|PERSIST|PERSIST_ONLY|TRANSACTION|INSERT_ID)\b", re.IGNORECASE)
TEMPORARY = re.compile(r"(CREATE(\s+OR\s+REPLACE)?|DROP)\s+TEMPORARY\b", re.IGNORECASE)
ONE_AFTER_ANOTHER = re.compile(r"(DROP|((CREATE(\s+OR\s+REPLACE)?|ALTER|RENAME)\s+(USER|ROLE)))\b", re.IGNORECASE)
EXCHANGE = re.compile(r"\bEXCHANGE\s+PARTITION\b", re.IGNORECASE)
DROPS_FIRST = re.compile(r"CREATE\s+OR\s+REPLACE\s+(TABLE|SEQUENCE|USER|ROLE|DATABASE|SCHEMA)\b", re.IGNORECASE)
VARIABLE = re.compile(r"(?<![\w@])@[\w$.`]+")
NAMED_LOCK = re.compile(r"_LOCKS?\b", re.IGNORECASE)
MAY_KEEP = re.compile(r"@|TEMPORARY|_LOCK", re.IGNORECASE)

# What a statement does to the open transaction.
QUERY = "query"  # takes part in it
DDL = "ddl"  # commits it, then takes effect as a whole, or fails as a whole
BOUNDARY = "boundary"  # ends it or begins another, and does nothing else
CALL = "call"  # may do anything, in several steps
LOCK = "lock"  # LOCK TABLES: commits it, and then only the locked tables can be written

TRANSACTIONAL = frozenset(
    [
        "CHECKSUM", "DEALLOCATE", "DELETE", "DESC", "DESCRIBE", "DO", "EXPLAIN", "GET", "HANDLER", "HELP", "INSERT",
        "KILL", "PREPARE", "RELEASE", "REPLACE", "RESIGNAL", "ROLLBACK", "SAVEPOINT", "SELECT", "SET", "SHOW", "SIGNAL",
        "TABLE", "UPDATE", "VALUES", "WITH",
    ]
)  # fmt: skip
WRITES = frozenset(["DELETE", "DO", "EXPLAIN", "INSERT", "LOAD", "REPLACE", "SELECT", "UPDATE", "WITH"])
PROGRAMS = frozenset(["CALL", "CASE", "EXECUTE", "FOR", "IF", "LOOP", "REPEAT", "WHILE"])
KEEPS = frozenset(["DEALLOCATE", "FLUSH", "HANDLER", "PREPARE", "SET"])


class Statement:
    """``text`` as it is sent, ``line`` where it starts (from 1), ``closed``: no string or comment is left open."""

    __slots__ = ("_first_word", "_kind", "closed", "line", "text")

    def __init__(self, text: str, line: int, closed: bool = True) -> None:
        self.text = text
        self.line = line
        self.closed = closed
        self._kind = ""
        self._first_word: str | None = None

    @property
    def normal(self) -> str:
        """The statement with one space, where words need it, for any white space outside of strings."""
        between = QUOTED.split(self.text)
        between[::2] = [AROUND.sub("", SPACES.sub(" ", part)) for part in between[::2]]
        return "".join(between)

    @property
    def code(self) -> str:
        """The statement without the frame of ``/*! */``, as a server reads it that knows its code."""
        if "/*" not in self.text:
            return self.text
        return CODE_FRAME.sub(lambda match: match.group(1) or " ", self.text).strip()

    @property
    def bare(self) -> str:
        """``code`` with its strings emptied, for looking at names."""
        return STRINGS.sub("''", self.code)

    @property
    def first_word(self) -> str:
        """The keyword that it begins with, in capitals; empty where there is none."""
        if self._first_word is None:
            match = WORD.match(self.code.lstrip("( \t\r\n"))
            self._first_word = match.group().upper() if match else ""
        return self._first_word

    @property
    def kind(self) -> str:
        """One of QUERY, DDL, BOUNDARY, CALL, LOCK."""
        if not self._kind:
            self._kind = _kind(self.code)
        return self._kind

    @property
    def in_steps(self) -> bool:
        """Whether it is DDL that may fail at a later step: at one of several tables or users, or after a drop."""
        several = ONE_AFTER_ANOTHER.match(self.code) and "," in self.bare
        return self.kind == DDL and bool(several or DROPS_FIRST.match(self.code))

    @property
    def blocks_itself(self) -> bool:
        """Whether it is DDL that waits in vain for the rows that it read itself, unless autocommit is on."""
        return self.kind == DDL and bool(EXCHANGE.search(self.text))

    @property
    def writes(self) -> bool:
        """Whether it may change rows within the transaction (a function that it calls may, too)."""
        return self.first_word in WRITES or self.kind == CALL or bool(SET_FOR.match(self.code))

    @property
    def setting(self) -> bool:
        """Whether it is a SET of the session alone, and runs no other statement, as ``SET STATEMENT`` does."""
        if self.first_word != "SET" or self.kind != QUERY:
            return False
        return not (SET_FOR.match(self.code) or NOT_OF_SESSION.match(self.code))

    @property
    def temporary(self) -> bool:
        """Whether it makes or drops a temporary table."""
        return bool(TEMPORARY.match(self.code))

    @property
    def locks(self) -> bool:
        """Whether it takes locks that its session keeps."""
        return self.kind == LOCK or bool(NAMED_LOCK.search(self.text))

    @property
    def keeps(self) -> bool:
        """Whether it leaves something in the session: variables, temporary tables, locks, open handlers."""
        if self.kind in (CALL, LOCK) or self.first_word in KEEPS or not self.closed or "/*" in self.text:
            return True
        if not MAY_KEEP.search(self.text):
            return False
        if "@" in self.text and VARIABLE.search(self.bare):
            return True
        return self.temporary or self.locks

    def drops_sessions(self, table: str) -> bool:
        """Whether it empties ``table``. Either may name its database; the bare name counts."""
        name = rf"(`?\w+`?\s*\.\s*)?`?{re.escape(table.rpartition('.')[2])}`?"
        truncate = rf"TRUNCATE(\s+TABLE)?\s+{name}(\s+WAIT\s+\d+|\s+NOWAIT)?"
        delete = rf"DELETE(\s+(LOW_PRIORITY|QUICK|IGNORE))*\s+FROM\s+{name}"
        return bool(re.fullmatch(rf"({truncate}|{delete})\s*", self.normal, re.IGNORECASE))


def _kind(code: str) -> str:
    inner = SET_FOR.match(code)
    if inner:
        return _kind(code[inner.end() :])
    words = [match.group().upper() for match in itertools.islice(WORD.finditer(code.lstrip("( \t\r\n")), 2)]
    first, second = [*words, "", ""][:2]
    if LABELLED.match(code) or first in PROGRAMS or (first, second) == ("BEGIN", "NOT"):
        return CALL
    if first in ("BEGIN", "COMMIT") or (first, second) == ("START", "TRANSACTION"):
        return BOUNDARY
    if first == "LOCK":
        return LOCK
    changes_accounts = first == "SET" and second in ("PASSWORD", "DEFAULT")
    reads_rows = first == "LOAD" and second != "INDEX"
    if reads_rows or (first in TRANSACTIONAL and not changes_accounts) or TEMPORARY.match(code):
        return QUERY
    return DDL


def digest(statements: list[Statement]) -> str:
    """SHA-256 over the statements, to which comments, white space and line ends do not count."""
    return hashlib.sha256("\0".join(statement.normal for statement in statements).encode()).hexdigest()
