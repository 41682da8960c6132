# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statements write to tables that no rollback reaches (MyISAM, Aria, MEMORY and their like)."""

from __future__ import annotations

import re

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.session import Session
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import STRINGS, Statement

SYSTEM = "('mysql', 'information_schema', 'performance_schema', 'sys')"
TABLES = f"""SELECT t.TABLE_NAME FROM information_schema.TABLES t JOIN information_schema.ENGINES e
ON e.ENGINE = t.ENGINE WHERE e.TRANSACTIONS <> 'YES' AND t.TABLE_TYPE = 'BASE TABLE' AND t.TABLE_SCHEMA NOT IN {SYSTEM}
UNION ALL SELECT NULL FROM information_schema.ENGINES WHERE SUPPORT = 'DEFAULT' AND TRANSACTIONS <> 'YES'"""
USERS = f"""SELECT EVENT_OBJECT_TABLE, ACTION_STATEMENT FROM information_schema.TRIGGERS
WHERE TRIGGER_SCHEMA NOT IN {SYSTEM}
UNION ALL SELECT TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA NOT IN {SYSTEM}
UNION ALL SELECT ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES
WHERE ROUTINE_SCHEMA NOT IN {SYSTEM}"""
DYNAMIC = "execute"  # runs text that is known to nobody before, and may write to any table
WORD = re.compile(r"[\w$]+")
ENGINE = re.compile(r"engine(?!`?\s*=?\s*innodb)|myisam|\baria\b", re.IGNORECASE)
SYSTEM_TABLE = re.compile(r"(?<![\w$])`?mysql`?\s*\.", re.IGNORECASE)
SYSTEM_TABLE_ANSI = re.compile(r"\"mysql\"\s*\.", re.IGNORECASE)


class Tables:
    """The names whose use writes to such a table: the table's own, and those of triggers, views and routines."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.refresh()

    def refresh(self) -> None:
        """Look at what the server has now."""
        rows = self.session.query(TABLES)
        self.default = any(name is None for (name,) in rows)  # tables are such unless they say otherwise
        self.names = {name.lower() for (name,) in rows if name is not None}
        if not self.names:
            return
        self.names.add(DYNAMIC)
        users = [(name.lower(), text or "") for name, text in self.session.query(USERS)]
        while True:
            found = {name for name, text in users if self.named_in(text, _words(text))} - self.names
            if not found:
                return
            self.names |= found

    def matters_to(self, text: str) -> bool:
        """Whether a delta of this text must be run with an eye on its tables."""
        return bool(self.names or self.default or ENGINE.search(text) or SYSTEM_TABLE.search(text))

    def escape_rollback(self, statement: Statement) -> bool:
        """Whether some of what ``statement`` writes would stay after a rollback."""
        if not statement.writes:
            return False
        code, bare = statement.code, statement.bare
        if SYSTEM_TABLE.search(bare) or SYSTEM_TABLE_ANSI.search(code):
            return True
        return bool(self.names) and self.named_in(code, _words(bare) | _in_double_quotes(code))

    def named_in(self, text: str, words: set[str]) -> bool:
        """Whether one of the names is among ``words``, or is one of several words and stands anywhere in ``text``."""
        if words & self.names:
            return True
        lower = text.lower()
        return any(name in lower for name in self.names if not WORD.fullmatch(name))


def _words(text: str) -> set[str]:
    return {word.lower() for word in WORD.findall(text)}


def _in_double_quotes(code: str) -> set[str]:
    """What may be a name where ``sql_mode`` has ANSI_QUOTES."""
    return {text[1:-1].lower() for text in STRINGS.findall(code) if text[0] == '"'}
