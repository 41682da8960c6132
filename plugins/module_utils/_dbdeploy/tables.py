# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statements write to tables that no rollback reaches (MyISAM, Aria, MEMORY and their like)."""

from __future__ import annotations

import re

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.session import Session
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import Statement

SYSTEM = "('mysql', 'information_schema', 'performance_schema', 'sys')"
TABLES = f"""SELECT t.TABLE_NAME FROM information_schema.TABLES t JOIN information_schema.ENGINES e
ON e.ENGINE = t.ENGINE WHERE e.TRANSACTIONS <> 'YES' AND t.TABLE_TYPE = 'BASE TABLE' AND t.TABLE_SCHEMA NOT IN {SYSTEM}
UNION ALL SELECT NULL FROM information_schema.ENGINES WHERE SUPPORT = 'DEFAULT' AND TRANSACTIONS <> 'YES'"""
USERS = f"""SELECT EVENT_OBJECT_TABLE, ACTION_STATEMENT FROM information_schema.TRIGGERS
WHERE TRIGGER_SCHEMA NOT IN {SYSTEM}
UNION ALL SELECT TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA NOT IN {SYSTEM}
UNION ALL SELECT ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES
WHERE ROUTINE_SCHEMA NOT IN {SYSTEM}"""
WORD = re.compile(r"[\w$]+")
ENGINE = re.compile(r"engine(?!`?\s*=?\s*innodb)|myisam|\baria\b", re.IGNORECASE)
SYSTEM_TABLE = re.compile(r"(?<![\w$])`?mysql`?\s*\.", re.IGNORECASE)


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
        users = [(name.lower(), _words(text or "")) for name, text in self.session.query(USERS)]
        while True:
            found = {name for name, words in users if words & self.names} - self.names
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
        bare = statement.bare
        return bool(SYSTEM_TABLE.search(bare) or (self.names and _words(bare) & self.names))


def _words(text: str) -> set[str]:
    return {word.lower() for word in WORD.findall(text)}
