# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the body of a routine, trigger or event ends: its ``;`` separate statements inside of it, not after it.

The reader follows the grammar only as far as it must: which words open a block depends on whether a statement begins
there, so that a column named ``end`` or the function ``IF()`` opens or closes nothing.
"""

from __future__ import annotations

import re
import typing as t
from itertools import islice

TOKEN = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`   # strings and quoted names
    |/\*M?!\d*|\*/                                                 # code that is a comment elsewhere
    |@+[\w$.]*|\d[\w.]*|[^\W\d][\w$]*|:=|\S""",
    re.VERBOSE | re.DOTALL,
)
# The same where a backslash is a character like any other.
PLAIN_TOKEN = re.compile(TOKEN.pattern.replace(r"[^'\\]|\\.", "[^']").replace(r'[^"\\]|\\.', '[^"]'), TOKEN.flags)
KINDS = frozenset(["PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"])
BEFORE_KIND = frozenset(
    ["CREATE", "ALTER", "OR", "REPLACE", "DEFINER", "=", "@", "AGGREGATE", "CURRENT_USER", "(", ")"]
)
COMPOUND = frozenset(["IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR"])
# What may begin the body of a routine; elsewhere in its head these words do not stand outside of parentheses.
BODY_WORDS = COMPOUND | frozenset(
    ["BEGIN", "RETURN", "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "CALL", "SET", "WITH", "TRUNCATE", "EXECUTE"]
)
LABEL = re.compile(r"(`[^`]+`|\w+)\s*:(?!=)\s*(\w+)")
MAYBE = re.compile(
    r"(?:/\*M?!\d*\s*)*(?:(?:CREATE|ALTER|BEGIN|IF|CASE|LOOP|WHILE|REPEAT|FOR)\b|(?:`[^`]+`|\w+)\s*:)", re.IGNORECASE
)


def tokens(text: str, backslash: bool = True) -> t.Iterator[str]:
    """The tokens of ``text``, which holds no comments, without the frame of ``/*! */``."""
    for match in (TOKEN if backslash else PLAIN_TOKEN).finditer(text):
        found = match.group()
        if found[:2] != "/*" and found != "*/":
            yield found


def body_of(text: str, backslash: bool = True) -> Body | None:
    """A reader for the statement that begins with ``text``, or None where no statement can be inside of it."""
    if not MAYBE.match(text):
        return None
    words = (token.upper() for token in islice(tokens(text, backslash), 40))
    previous = next(words)
    if previous in ("CREATE", "ALTER"):
        for word in words:
            if word in KINDS:
                return Body(word)
            quoted = word[0] in "'\"`@" or previous in ("=", "@", "DEFINER")
            if word not in BEFORE_KIND and not quoted:
                return None
            previous = word
        return None
    head = [previous, *islice(words, 3)]
    label = LABEL.match(" ".join(head))
    first = label.group(2) if label else previous
    if first in COMPOUND or (first == "BEGIN" and (label or head[1:2] == ["NOT"])):
        return Body("")
    return None


class Body:
    """Reads one statement token by token; ``inside`` says whether a ``;`` at this place belongs to it."""

    def __init__(self, kind: str) -> None:
        self.head = kind  # of which routine's head this is; empty once the body has begun
        self.named = False  # whether the head got past the routine's kind
        self.depth = 0
        self.open: list[str] = []
        self.begins = True  # whether a statement begins with the next token
        self.first = ""  # the first token of the statement, which may be a label
        self.previous = ""
        self.ended = False
        self.until = False
        self.handler = ""

    @property
    def inside(self) -> bool:
        """Whether a block is open."""
        return bool(self.open)

    def feed(self, text: str, backslash: bool = True) -> None:
        """Read on; ``text`` ends at the end of a token."""
        for token in tokens(text, backslash):
            word = "name" if self.previous == "." else token.upper()  # what is qualified is no keyword
            if self.head:
                self._head(word)
            else:
                self._token(word)
            self.previous = word

    def _head(self, word: str) -> None:
        if word in "()":
            self.depth += 1 if word == "(" else -1
        self.named = self.named or word == self.head
        if self.depth or not self.named:
            return
        if self.head == "EVENT":
            begins = word == "DO"
        elif self.head == "TRIGGER":
            begins = word == "ROW" and self.previous == "EACH"
        elif word == ":":  # the label before the block
            begins = True
        else:
            type_word = self.previous in ("CHARACTER", "RETURNS", self.head)
            if word in BODY_WORDS and not type_word:
                self.head = ""
                self._token(word)
            return
        if begins:
            self.head = ""

    def _token(self, word: str) -> None:
        if word == ";":
            self.begins, self.first, self.ended, self.until, self.handler = True, "", False, False, ""
        elif self.ended or (self.handler and not self._handler(word)):
            return
        elif self.begins:
            self._first(word)
        elif word == ":" and self.previous == self.first:
            self.begins = True
        else:
            self._inner(word)

    def _first(self, word: str) -> None:
        """The first word of a statement."""
        self.first = word
        if word in ("BEGIN", "LOOP", "REPEAT"):
            self.open.append(word)
        elif word in COMPOUND:
            self.open.append(word)
            self.begins = False
        elif word == "END":
            self._close()
        elif word in ("NOT", "ATOMIC") and self.previous in ("BEGIN", "NOT"):
            return
        elif word in ("FOLLOWS", "PRECEDES"):  # of a trigger, before its body
            self.first, self.handler = "", "NAME"
        elif word != "ELSE":
            self.begins = False
            self.until = word == "UNTIL"
            self.handler = "DECLARE" if word == "DECLARE" else ""

    def _inner(self, word: str) -> None:
        """Another word of a statement."""
        top = self.open[-1] if self.open else ""
        if word == "CASE":
            self.open.append("case")
        elif word == "END":
            if top == "case":
                self.open.pop()
            elif self.until and top == "REPEAT":
                self._close()
        elif (word == "THEN" and top in ("IF", "CASE")) or (word == "DO" and top in ("WHILE", "FOR")):
            self.begins, self.first = True, ""

    def _close(self) -> None:
        """``END``: what follows up to the ``;`` is the block's kind or its label."""
        if self.open:
            self.open.pop()
        self.begins, self.ended = False, True

    def _handler(self, word: str) -> bool:
        """Follow ``DECLARE … HANDLER FOR conditions``; true where the statement of the handler begins with ``word``."""
        state = self.handler
        if state == "NAME":
            self.handler, self.begins = "", True
        elif state == "DECLARE":
            self.handler = {"HANDLER": "HANDLER", "EXIT": state, "CONTINUE": state, "UNDO": state}.get(word, "")
        elif state == "HANDLER":
            self.handler = "CONDITION"
        elif state == "CONDITION":
            if word not in ("SQLSTATE", "VALUE", "NOT"):
                self.handler = "NEXT"
        elif word == ",":
            self.handler = "CONDITION"
        else:
            self.handler, self.begins = "", True
            return True
        return False
