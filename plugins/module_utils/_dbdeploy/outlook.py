# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What DDL will do to the tables that are there: change their definition alone, build an index, rebuild, remove rows.

Nothing is asked of the server but what it knows of its tables; to try a statement out would be to run it. The rules are
those of InnoDB, and careful: what is not known to be instant counts as a rebuild.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.changelog import literal
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.session import Session
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import Statement
from ansible_collections.lamp.cluster.plugins.module_utils._mysql import Flavour

INSTANT, INDEX, REBUILD, REMOVAL = "instant", "index", "rebuild", "removal"
ORDER = (INSTANT, INDEX, REBUILD)
NAME = r"(?:(?:`[^`]+`|[\w$]+)\s*\.\s*)?(?:`([^`]+)`|([\w$]+))"
ALTER = re.compile(rf"ALTER\s+(?:ONLINE\s+)?(?:IGNORE\s+)?TABLE\s+(?:IF\s+EXISTS\s+)?{NAME}\s*(.*)", re.I | re.S)
CREATE_INDEX = re.compile(rf"CREATE\s+(?:OR\s+REPLACE\s+)?(\w+\s+)?INDEX\b.*?\bON\s+{NAME}", re.I | re.S)
REMOVES = re.compile(rf"(?:TRUNCATE(?:\s+TABLE)?|CREATE\s+OR\s+REPLACE\s+TABLE)\s+{NAME}", re.I)
DROPS = re.compile(r"DROP\s+TABLES?\s+(?:IF\s+EXISTS\s+)?(.*)", re.I | re.S)
OPTIMIZE = re.compile(rf"OPTIMIZE\s+(?:\w+\s+)?TABLE\s+{NAME}", re.I)
COLUMN = r"(?:COLUMN\s+)?(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(?:`([^`]+)`|([\w$]+))"
KEYWORDS = r"(?!(?:INDEX|KEY|UNIQUE|FULLTEXT|SPATIAL|PRIMARY|FOREIGN|CONSTRAINT|CHECK|PARTITION|PERIOD|SYSTEM)\b)"
ADD_COLUMN = re.compile(rf"ADD\s+{KEYWORDS}{COLUMN}\s+(.*)", re.I | re.S)
DROP_COLUMN = re.compile(rf"DROP\s+{KEYWORDS}{COLUMN}\s*(?:RESTRICT|CASCADE)?\s*", re.I)
NOT_INSTANT = re.compile(
    r"\b(AUTO_INCREMENT|PRIMARY|UNIQUE|KEY|CHECK|REFERENCES|STORED|PERSISTENT|AS|GENERATED|UUID)\b|\bDEFAULT\s*\(", re.I
)
POSITION = re.compile(r"\b(FIRST|AFTER\s+\S+)\s*$", re.I)
DEFINITION_ONLY = re.compile(
    r"ALTER\s+(?:COLUMN\s+)?\S+\s+(SET|DROP)\s+DEFAULT\b|COMMENT\s*=?\s*''|ALGORITHM\b(?!\s*=?\s*COPY)|LOCK\b", re.I
)
PARTITIONS = re.compile(r"(?:DROP|TRUNCATE)\s+PARTITION\s+(?:IF\s+EXISTS\s+)?([^(]*)", re.I | re.S)
RENAMES = re.compile(r"RENAME\s+(COLUMN|INDEX|KEY)\b", re.I)
ONLY_MARIADB = re.compile(r"RENAME\s+(INDEX|KEY)\b|COMMENT\b", re.I)  # instant there, in place on MySQL
INDEXES = re.compile(r"ADD\s+(?:CONSTRAINT\s+\S+\s+)?(?:UNIQUE|INDEX|KEY)\b|DROP\s+(?:INDEX|KEY)\b", re.I)


class Change:
    """What one statement does to ``table``: ``effect`` is INSTANT, INDEX, REBUILD or REMOVAL, ``rows`` an estimate."""

    def __init__(self, table: str, effect: str, rows: int) -> None:
        self.table = table
        self.effect = effect
        self.rows = rows

    def __str__(self) -> str:
        rows = f"about {self.rows} row{'' if self.rows == 1 else 's'}"
        return {
            INSTANT: f"online: changes only the definition of {self.table} (ALGORITHM=INSTANT)",
            INDEX: f"changes an index of {self.table}, {rows}, without a rebuild",
            REBUILD: f"rebuilds {self.table}, {rows}",
            REMOVAL: f"removes {rows} of {self.table}",
        }[self.effect]

    def as_result(self) -> dict[str, t.Any]:
        """What the module returns of it."""
        return {"table": self.table, "effect": self.effect, "rows": self.rows}


class Outlook:
    """The tables of the database, as far as the effect of DDL depends on them."""

    def __init__(self, session: Session, flavour: Flavour) -> None:
        self.session = session
        self.flavour = flavour
        self._tables: dict[str, tuple[int, bool]] | None = None

    def changes(self, statement: Statement) -> list[Change]:
        """What ``statement`` does to tables that are there."""
        dropped = DROPS.match(statement.bare)
        named = [re.match(NAME, clause.strip()) for clause in _clauses(dropped.group(1))] if dropped else []
        gone = [self._about(name.group(1) or name.group(2), lambda _name: REMOVAL) for name in named if name]
        return [change for change in (self._change(statement.bare), *gone) if change]

    def _change(self, code: str) -> Change | None:
        """What all but DROP TABLE, which may name more than one, do to a table that is there."""
        alter = ALTER.match(code)
        created, removes, optimized = CREATE_INDEX.match(code), REMOVES.match(code), OPTIMIZE.match(code)
        if alter:
            altered, text = alter.group(1) or alter.group(2), alter.group(3)
            emptied = PARTITIONS.match(text)
            if emptied:
                return self._about(altered, lambda _name: REMOVAL, partitions=emptied.group(1))
            return self._about(altered, lambda name: self._alter(name, text))
        if created:
            special = (created.group(1) or "").strip().upper() in ("FULLTEXT", "SPATIAL")
            return self._about(created.group(2) or created.group(3), lambda _name: REBUILD if special else INDEX)
        if removes:
            return self._about(removes.group(1) or removes.group(2), lambda _name: REMOVAL)
        if optimized:
            return self._about(optimized.group(1) or optimized.group(2), lambda _name: REBUILD)
        return None

    def _about(self, name: str, effect: t.Callable[[str], str], partitions: str = "ALL") -> Change | None:
        """``partitions``: a list of names, as it stands in the statement, whose rows alone count."""
        if name.lower() not in self.tables:
            return None
        rows = self.tables[name.lower()][0]
        if partitions.strip().upper() != "ALL":
            listed = ", ".join(literal(part.strip("` \t\r\n").lower()) for part in partitions.split(","))
            ((counted,),) = self.session.query(
                "SELECT COALESCE(SUM(TABLE_ROWS), 0) FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = DATABASE()"
                f" AND LOWER(TABLE_NAME) = {literal(name.lower())} AND LOWER(PARTITION_NAME) IN ({listed})"
            )
            rows = int(counted)
        return Change(name, effect(name.lower()), rows)

    @property
    def tables(self) -> dict[str, tuple[int, bool]]:
        """Of each table the estimated rows, and whether its rows are in a format that takes instant changes."""
        if self._tables is None:
            rows = self.session.query(
                "SELECT LOWER(TABLE_NAME), COALESCE(TABLE_ROWS, 0), ENGINE = 'InnoDB' AND ROW_FORMAT <> 'Compressed'"
                " FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'"
            )
            self._tables = {name: (int(count), bool(able)) for name, count, able in rows}
            indexed = self.session.query(
                "SELECT LOWER(TABLE_NAME), LOWER(COLUMN_NAME), INDEX_TYPE FROM information_schema.STATISTICS"
                " WHERE TABLE_SCHEMA = DATABASE()"
            )
            self.indexed = {(table, column) for table, column, _kind in indexed}
            self.searched = {table for table, _column, kind in indexed if kind in ("FULLTEXT", "SPATIAL")}
        return self._tables

    def _alter(self, table: str, text: str) -> str:
        """The worst that a clause of ALTER TABLE does."""
        effects = {self._clause(table, clause.strip()) for clause in _clauses(text)}
        if effects == {INSTANT, INDEX}:
            return REBUILD  # both at once are not had without one
        return max(effects, key=ORDER.index)

    def _clause(self, table: str, clause: str) -> str:
        able = self.tables[table][1] and table not in self.searched and self._since((10, 4), (8, 0, 29))
        added, dropped = ADD_COLUMN.fullmatch(clause), DROP_COLUMN.fullmatch(clause)
        if added:
            able = able and not NOT_INSTANT.search(POSITION.sub("", added.group(3)))
        elif dropped:
            able = able and (table, (dropped.group(1) or dropped.group(2)).lower()) not in self.indexed
        elif RENAMES.match(clause):
            able = able and self._since((10, 5, 2), (8, 0, 29))
        elif not DEFINITION_ONLY.match(clause):
            return INDEX if INDEXES.match(clause) else REBUILD
        if ONLY_MARIADB.match(clause) and self.flavour.product != "mariadb":
            return INDEX if RENAMES.match(clause) else REBUILD
        return INSTANT if able else REBUILD

    def _since(self, mariadb: tuple[int, ...], mysql: tuple[int, ...]) -> bool:
        return self.flavour.version >= (mariadb if self.flavour.product == "mariadb" else mysql)


def _clauses(text: str) -> list[str]:
    """``text`` split at its commas outside of parentheses."""
    found, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and not depth:
            found.append("")
        else:
            found[-1] += character
    return found
