# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the statements of a delta leave in their session, and what those after them need of it.

A name is that of a user variable (``@n``), a temporary table or a prepared statement, or one of the functions that tell
of an earlier statement; all in lower case, as the server makes no difference. Where the text leaves open whether a
statement uses a name, it does.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import (
    CALL,
    KEEPS,
    SET_FOR,
    WORD,
    Statement,
)

VARIABLE = re.compile(r"(?<![\w$@])@[\w$.]+")
ASSIGNED = re.compile(rf"({VARIABLE.pattern})\s*:=")
ASSIGNED_BY_SET = re.compile(rf"({VARIABLE.pattern})\s*:?=")
SELECTED = re.compile(r"\binto\s+((?:@[\w$.]+\s*,?\s*)+)")
PREPARED = re.compile(r"(?:prepare|(deallocate\s+prepare|drop\s+prepare))\s+([\w$]+)")
NAME = r"(?:\"[^\"]+\"|[^\s\"().,]+)"
TABLES = re.compile(
    r"(?:(create)(?:\s+or\s+replace)?\s+temporary|drop(?:\s+temporary)?)\s+(?:table|sequence)s?\s+"
    rf"(?:if\s+(?:not\s+)?exists\s+)?({NAME}(?:\s*[.,]\s*{NAME})*)"
)
SETS_LAST_ID = re.compile(r"(insert|replace)\b|.*\blast_insert_id\s*\(\s*[^\s)]", re.DOTALL)
ROUTINE = re.compile(r"create\s[^(]*?\b(procedure|function|trigger|event|package)\s", re.DOTALL)
VARYING = re.compile(r"\(|\bvalue\s+for\b|\bnextval\b|\b(current|utc)_|\b(local|sys)(time|date)")
LAST_ID, FOUND_ROWS = "last_insert_id", "found_rows"
REPEATABLE = frozenset(["do", "prepare", "select", "set"])  # of themselves they write no rows


class Effect:
    """What ``statement`` does to its session.

    It ``makes`` names (``fresh`` are those of which it does not look at what they were), and ``ends`` others.
    ``table`` is the temporary table that it makes. ``only_ends``: what it ends can be nothing but its session's.
    """

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self.code, self.bare = _plain(statement.code), _plain(statement.bare)
        match = WORD.match(self.code.lstrip("( \t\r\n"))
        self.word = match.group() if match else ""
        self.calls = statement.kind == CALL
        self.makes = self._variables()
        self.fresh: set[str] = set()
        self.ends: set[str] = set()
        self.table = ""
        if statement.setting:
            used = VARIABLE.findall(self.bare)
            self.fresh = {name for name in self.makes if used.count(name) == 1}
        tables, prepared = TABLES.match(self.code), PREPARED.match(self.code)
        if tables:
            self._tables(bool(tables.group(1)), tables.group(2))
        elif prepared and prepared.group(1):
            self.ends = {prepared.group(2)}
        elif prepared:
            self.fresh = {prepared.group(2)}
            self.makes |= self.fresh
        self.only_ends = bool(self.ends) and (statement.temporary or not tables)
        if self.calls or SETS_LAST_ID.match(self.code):
            self.makes.add(LAST_ID)
        if self.word == "select":
            self.makes.add(FOUND_ROWS)

    def _variables(self) -> set[str]:
        if self.calls or self.word == "load":
            return set(VARIABLE.findall(self.bare))
        if ROUTINE.match(self.code):  # what its body does it does when it is called
            return set()
        if self.word in ("set", "get"):
            return set(ASSIGNED_BY_SET.findall(self.bare))
        return {*ASSIGNED.findall(self.bare), *VARIABLE.findall(" ".join(SELECTED.findall(self.bare)))}

    def _tables(self, made: bool, text: str) -> None:
        names = [re.split(r"\s*\.\s*", name)[-1].strip('" \t\r\n') for name in text.split(",")]
        if made:
            self.table = names[0]
            self.fresh = {self.table}
            self.makes.add(self.table)
        else:
            self.ends = set(names)

    @property
    def repeatable(self) -> bool:
        """Whether it may be run again to have what it made: it changes nothing but the session."""
        return not self.calls and (self.word in REPEATABLE or bool(self.table))

    @property
    def gives_the_same(self) -> bool:
        """Whether it is a SET of the session to what does not depend on the database or the time."""
        return self.statement.setting and not (self.makes and VARYING.search(self.bare))

    def uses(self, name: str) -> bool:
        """Whether ``name`` stands in it, and not only as that of a thing that it makes anew."""
        if name in self.fresh:
            return False
        before = r"[\w$@]" if name[0] == "@" else r"[\w$]"  # two of them are a variable of the server
        return bool(re.search(rf"(?<!{before}){re.escape(name)}(?![\w$])", self.code))


def _plain(code: str) -> str:
    """``code`` for comparing names; of SET STATEMENT the statement that it runs."""
    frame = SET_FOR.match(code)
    plain = code[frame.end() if frame else 0 :].replace("`", "").lower()
    return plain.replace("@@identity", f"@@{LAST_ID}")


class Kept:
    """What ``done`` kept in a session that is gone, seen from the ``rest`` of the delta.

    ``settings`` are the indexes of the statements that give a new session the same as the old one. ``lost`` are names
    that the rest uses, and that these do not give; ``void`` the indexes in the rest of statements that do no more than
    end what is gone already.
    """

    def __init__(self, done: t.Sequence[Statement], rest: t.Iterable[Statement]) -> None:
        self.effects = [Effect(statement) for statement in done]
        self.settings: set[int] = set()
        self.makers: dict[str, set[int]] = {}
        tables: set[str] = set()
        needing = []
        for index, effect in enumerate(self.effects):
            used = {name for name in self.makers if effect.uses(name)}
            if effect.gives_the_same and not used:
                self.settings.add(index)
                self._end(effect.makes)
                continue
            if effect.statement.setting and not effect.makes:
                needing.append(effect)
            self._end(effect.ends)
            filled = used & tables if effect.word != "select" else set()
            tables.add(effect.table)
            for name in effect.makes | filled - effect.ends:
                self.makers.setdefault(name, set()).add(index)
        self.lost = {name for name in self.makers if any(effect.uses(name) for effect in needing)}
        self.void: set[int] = set()
        if self.makers:
            self._look_at(Effect(statement) for statement in rest)

    def _end(self, names: set[str]) -> None:
        for name in names:
            self.makers.pop(name, None)

    def _look_at(self, rest: t.Iterable[Effect]) -> None:
        fresh: set[str] = set()
        for index, effect in enumerate(rest):
            if effect.only_ends and effect.ends <= self.makers.keys() - fresh - self.lost:
                self.void.add(index)
                fresh |= effect.ends
            else:
                self.lost |= {name for name in self.makers if name not in fresh and effect.uses(name)}
                fresh |= effect.fresh

    @property
    def made_lost(self) -> list[int]:
        """The indexes of the statements that made what is lost, and what those used in turn."""
        names: set[str] = set()
        more = self.lost
        while more:
            names |= more
            used = [self.effects[index] for name in more for index in self.makers[name]]
            more = {name for name in self.makers if any(effect.uses(name) for effect in used)} - names
        return sorted({index for name in names for index in self.makers[name]})


def same_again(statements: t.Iterable[Statement]) -> bool:
    """Whether ``statements``, which were run and rolled back, do the same when they are run again in that session."""
    effects = [Effect(statement) for statement in statements]
    if any(effect.calls or effect.word.upper() in KEEPS for effect in effects):
        return False
    made = {name for effect in effects for name in effect.makes}
    return not any(effect.table or effect.uses(name) for effect in effects for name in made)
