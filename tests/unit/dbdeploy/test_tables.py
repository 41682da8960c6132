# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statements write to tables that no rollback reaches, by what the server says of its tables."""

from __future__ import annotations

from typing import Any, cast

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy import tables
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.script import split
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.tables import Tables

MYISAM = [("", "log"), ("", "my-log"), ("", "ärger"), ("old", "item2"), ("old shop", "item2")]
USERS = [
    ("old", "item3", "SET NEW.n = 1; INSERT INTO item2 VALUES (1)"),
    ("new", "item4", "INSERT INTO item2 VALUES (1)"),
    ("", "past", "select `old`.`item2`.`n` AS `n` from `old`.`item2`"),
    ("", "Item", "BEGIN -- don't\n INSERT INTO `my-log` VALUES (NEW.n); END"),
    ("", "other", "SET NEW.n = 1"),
    ("", "next_id", "BEGIN UPDATE log SET n = n + 1; RETURN 1; END"),
    ("", "runs_text", "BEGIN PREPARE added FROM @sql; EXECUTE added; END"),
]


class Server:
    """Has those tables."""

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return cast("list[tuple[Any, ...]]", MYISAM if sql == tables.TABLES else USERS)


@pytest.mark.parametrize(
    ("sql", "escapes"),
    [
        ("INSERT INTO log VALUES (1)", True),
        ("INSERT INTO shop.`LOG` VALUES (1)", True),
        ("UPDATE `my-log` SET n = 1", True),
        ("UPDATE `My-Log` SET n = 1", True),
        ("DELETE FROM Ärger", True),
        ("DELETE FROM `ärger`", True),
        ('INSERT INTO "log" VALUES (1)', True),
        ('INSERT INTO "shop"."my-log" VALUES (1)', True),
        ('UPDATE "mysql"."user" SET host = 1', True),
        ("UPDATE mysql.user SET host = 1", True),
        ("UPDATE item SET n = 2", True),
        ("UPDATE other SET n = 2", False),
        ("UPDATE other SET my = 1, log2 = 2", False),
        ("INSERT INTO other VALUES ('see the log', \"see the log\", 'https://mysql.com')", False),
        ("SHOW CREATE TABLE log", False),
        ("UPDATE item2 SET n = 1", False),
        ("UPDATE old.item2 SET n = 1", True),
        ("UPDATE `Old Shop`.`item2` SET n = 1", True),
        ("UPDATE new.item2 SET n = 1", False),
        ("INSERT INTO old.item3 VALUES (1)", True),
        ("INSERT INTO item3 VALUES (1)", False),
        ("INSERT INTO new.item4 VALUES (1)", False),
        ("INSERT INTO past VALUES (1)", True),
        ("SET @next = `Next_Id` (), @a = 1", True),
        ("SET @next = (SELECT MAX(n) FROM log)", False),
        ("EXECUTE added", True),
        ("EXECUTE IMMEDIATE CONCAT('INSERT INTO l', 'og VALUES (1)')", True),
        ("CALL runs_text()", True),
        ("GRANT EXECUTE ON PROCEDURE runs_text TO shop", False),
    ],
)
def test_a_statement_on_such_a_table_is_told_by_any_way_to_write_its_name(sql: str, escapes: bool) -> None:
    assert Tables(cast("Any", Server())).escape_rollback(split(sql)[0]) is escapes
