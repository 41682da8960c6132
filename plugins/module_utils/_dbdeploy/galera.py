# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What statements do on Galera that they do not do on a single server, told before they run."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import Statement
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._mysql import Connection, open_transactions, query

SHOWN = 100  # characters of a statement that a message shows
# Longer strings and those with other characters are no names of engines.
STRING = re.compile(r"'(?!\w{1,30}')(?:[^'\\]|\\.|'')*'|\"(?!\w{1,30}\")(?:[^\"\\]|\\.|\"\")*\"", re.DOTALL)
NAME = re.compile(r"`([^`]+)`|(?<!@)\b([A-Za-z_$][\w$]*)")
TABLE = re.compile(r"(CREATE\s+(OR\s+REPLACE\s+)?TABLE|ALTER\s+(ONLINE\s+)?(IGNORE\s+)?TABLE)\b", re.IGNORECASE)
ENGINE = re.compile(r"\bENGINE\s*=?\s*['\"`]?(\w+)", re.IGNORECASE)
DEFAULT_ENGINE = re.compile(r"SET\b.*\b(?:default_)?storage_engine\s*:?=\s*['\"]?(\w+)", re.IGNORECASE | re.DOTALL)
# The part of a statement that names the tables whose rows it changes.
WRITES = {
    "INSERT": re.compile(r"INSERT\b(.*?)(\(|\bVALUES?\b|\bSELECT\b|\bSET\b|$)", re.IGNORECASE | re.DOTALL),
    "REPLACE": re.compile(r"REPLACE\b(.*?)(\(|\bVALUES?\b|\bSELECT\b|\bSET\b|$)", re.IGNORECASE | re.DOTALL),
    "UPDATE": re.compile(r"UPDATE\b(.*?)\bSET\b", re.IGNORECASE | re.DOTALL),
    "DELETE": re.compile(r"DELETE\b(.*?)(\bWHERE\b|$)", re.IGNORECASE | re.DOTALL),
    "LOAD": re.compile(r"LOAD\b.*?\bINTO\s+TABLE\s+(\S+)", re.IGNORECASE | re.DOTALL),
}
CHANGES_TABLES = frozenset(["ALTER", "CREATE", "DROP", "OPTIMIZE", "RENAME", "REPAIR", "TRUNCATE"])
# What DDL makes, alters or drops without a lock on a table that its text may name.
NO_TABLE = re.compile(
    r"(ALTER|CREATE|DROP)\s+(OR\s+REPLACE\s+)?((ALGORITHM|DEFINER)\s*=\s*\S+\s+|SQL\s+SECURITY\s+\w+\s+|AGGREGATE\s+)*"
    r"(DATABASE|EVENT|FUNCTION|PACKAGE|PROCEDURE|ROLE|SCHEMA|SEQUENCE|SERVER|USER|VIEW)\b",
    re.IGNORECASE,
)

Todo = t.List[t.Tuple[str, t.List[Statement]]]


def _names(text: str) -> list[str]:
    """The identifiers and keywords of ``text``, in lower case."""
    return [(quoted or plain).lower() for quoted, plain in NAME.findall(text)]


def _place(name: str, statement: Statement) -> str:
    line = " ".join(statement.text.split())
    return f"{name}, line {statement.line}: {f'{line[:SHOWN]} ...' if len(line) > SHOWN else line}"


class Engines:
    """Which storage engines' rows the cluster replicates, and which tables of the database have another one."""

    def __init__(self, connection: Connection) -> None:
        settings = dict(
            query(
                connection,
                "SHOW VARIABLES WHERE Variable_name IN"
                " ('wsrep_mode', 'wsrep_replicate_myisam', 'default_storage_engine')",
            )
        )
        mode = settings.get("wsrep_mode", "")
        self.replicated = {"INNODB"}
        if "REPLICATE_MYISAM" in mode or settings.get("wsrep_replicate_myisam") == "ON":
            self.replicated.add("MYISAM")
        if "REPLICATE_ARIA" in mode:
            self.replicated.add("ARIA")
        self.default = settings["default_storage_engine"].upper()
        rows = query(
            connection,
            "SELECT LOWER(TABLE_NAME), UPPER(ENGINE) FROM information_schema.TABLES"
            " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE' AND ENGINE <> 'InnoDB'",
        )
        self.local = {name for name, engine in rows if engine not in self.replicated}

    def loses_rows(self, statement: Statement) -> bool:
        """Whether rows that it writes, or that its table will hold, stay on the one node."""
        normal = STRING.sub("''", statement.normal)
        if TABLE.match(normal):
            named = {engine.upper() for engine in ENGINE.findall(normal)}
            if named:
                return not named <= self.replicated
            if not normal.upper().startswith("CREATE"):
                return False
            copied = re.search(r"\bLIKE\b(.*)", normal, re.IGNORECASE)
            if copied:
                return bool(self.local & set(_names(copied.group(1))))
            return self.default not in self.replicated
        default = DEFAULT_ENGINE.match(normal)
        if default:
            return default.group(1).upper() not in self.replicated
        written = WRITES[statement.first_word].match(normal) if statement.first_word in WRITES else None
        return bool(written and self.local & set(_names(written.group(1))))


def look_ahead(connection: Connection, todo: Todo, allow_unreplicated: bool) -> list[str]:
    """What users of the cluster will notice of ``todo``.

    :raises LampError: ``dbdeploy_not_replicated`` for rows that would be on one node alone, unless they are allowed
    """
    if not allow_unreplicated:
        _refuse_unreplicated(connection, todo)
    return _warnings(connection, todo)


def _refuse_unreplicated(connection: Connection, todo: Todo) -> None:
    if not todo:
        return
    engines = Engines(connection)
    found = [
        _place(name, statement)
        for name, statements in todo
        for statement in statements
        if engines.loses_rows(statement)
    ]
    if found:
        raise LampError(
            "dbdeploy_not_replicated",
            f"Galera replicates rows of InnoDB, not those of these tables' engines: {'; '.join(found)}.",
            "Make the tables InnoDB, or accept rows that are on one node alone with allow_unreplicated=true.",
        )


def _warnings(connection: Connection, todo: Todo) -> list[str]:
    rows = dict(
        query(
            connection,
            "SELECT LOWER(TABLE_NAME), TABLE_ROWS FROM information_schema.TABLES"
            " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE' AND TABLE_ROWS > 0",
        )
    )
    found = []
    for name, statements in todo:
        for statement in statements:
            if statement.first_word not in CHANGES_TABLES or NO_TABLE.match(statement.code):
                continue
            table = next((word for word in _names(STRING.sub("''", statement.normal)) if word in rows), None)
            if table:
                found.append(f"{_place(name, statement)} (about {rows[table]} row{'s' if rows[table] > 1 else ''})")
    if not found:
        return []
    return [
        "Galera runs DDL on all nodes at once: until each of these statements ends no node takes writes, and open"
        f" transactions on its table are aborted (error 1213): {'; '.join(found)}."
        f" Open transactions on this node: {open_transactions(connection)}."
    ]
