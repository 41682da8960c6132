# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statements write to tables that no rollback reaches (MyISAM, Aria, MEMORY and their like)."""

from __future__ import annotations

import re

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.session import Session
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import STRINGS, Statement

SYSTEM = "('mysql', 'information_schema', 'performance_schema', 'sys')"
TABLES = f"""SELECT IF(t.TABLE_SCHEMA = DATABASE(), '', t.TABLE_SCHEMA), t.TABLE_NAME FROM information_schema.TABLES t
JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
WHERE e.TRANSACTIONS <> 'YES' AND t.TABLE_TYPE = 'BASE TABLE' AND t.TABLE_SCHEMA NOT IN {SYSTEM}
UNION ALL SELECT '', NULL FROM information_schema.ENGINES WHERE SUPPORT = 'DEFAULT' AND TRANSACTIONS <> 'YES'"""
USERS = " UNION ALL ".join(
    f"SELECT IF({place} = DATABASE(), '', {place}), {name}, {text} FROM information_schema.{kind}"
    f" WHERE {place} NOT IN {SYSTEM}"
    for kind, place, name, text in (
        ("TRIGGERS", "TRIGGER_SCHEMA", "EVENT_OBJECT_TABLE", "ACTION_STATEMENT"),
        ("VIEWS", "TABLE_SCHEMA", "TABLE_NAME", "VIEW_DEFINITION"),
        ("ROUTINES", "ROUTINE_SCHEMA", "ROUTINE_NAME", "ROUTINE_DEFINITION"),
    )
)
DYNAMIC = "execute"  # runs text that is known to nobody before, and may write to any table
WORD = re.compile(r"[\w$]+")
CALLED = re.compile(r"([\w$]+)`?\s*\(")
ENGINE = re.compile(r"engine(?!`?\s*=?\s*innodb)|myisam|\baria\b", re.IGNORECASE)
SYSTEM_TABLE = re.compile(r"(?<![\w$])`?mysql`?\s*\.", re.IGNORECASE)
SYSTEM_TABLE_ANSI = re.compile(r"\"mysql\"\s*\.", re.IGNORECASE)


class Tables:
    """The names whose use writes to such a table: the table's own, and those of triggers, views and routines.

    ``names`` has them by their database, in which they are told without it; '' is the one that deltas are applied to.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.refresh()

    def refresh(self) -> None:
        """Look at what the server has now."""
        rows = self.session.query(TABLES)
        self.default = any(name is None for _place, name in rows)  # tables are such unless they say otherwise
        self.names: dict[str, set[str]] = {}
        for place, name in rows:
            if name is not None:
                self.names.setdefault(place.lower(), set()).add(name.lower())
        if not self.names:
            return
        if "" in self.names:
            self.names[""].add(DYNAMIC)
        users = [(place.lower(), name.lower(), text or "") for place, name, text in self.session.query(USERS)]
        while True:
            found = {
                (place, name)
                for place, name, text in users
                if name not in self.names.get(place, ()) and self.named_in(text, _words(text), place)
            }
            if not found:
                return
            for place, name in found:
                self.names.setdefault(place, set()).add(name)

    def matters_to(self, text: str) -> bool:
        """Whether a delta of this text must be run with an eye on its tables."""
        lower = text.lower()
        named = any(place in lower for place in self.names)
        return bool(named or self.default or ENGINE.search(text) or SYSTEM_TABLE.search(text))

    def escape_rollback(self, statement: Statement) -> bool:
        """Whether some of what ``statement`` writes would stay after a rollback."""
        code, bare = statement.code, statement.bare
        if statement.setting:  # what it selects from it does not write to, but a function may
            return self.named_in("", {name.lower() for name in CALLED.findall(bare)})
        if not statement.writes:
            return False
        if SYSTEM_TABLE.search(bare) or SYSTEM_TABLE_ANSI.search(code):
            return True
        return bool(self.names) and self.named_in(code, _words(bare) | _in_double_quotes(code))

    def named_in(self, text: str, words: set[str], home: str = "") -> bool:
        """Whether ``text``, which is run in the database ``home``, names one; ``words`` are those of it that may.

        A name of several words may stand anywhere in it.
        """
        lower = text.lower()
        return any(
            (place in ("", home) or _any_of({place}, words, lower)) and _any_of(names, words, lower)
            for place, names in self.names.items()
        )


def _any_of(names: set[str], words: set[str], lower: str) -> bool:
    return bool(words & names) or any(name in lower for name in names if not WORD.fullmatch(name))


def _words(text: str) -> set[str]:
    return {word.lower() for word in WORD.findall(text)}


def _in_double_quotes(code: str) -> set[str]:
    """What may be a name where ``sql_mode`` has ANSI_QUOTES."""
    return {text[1:-1].lower() for text in STRINGS.findall(code) if text[0] == '"'}
