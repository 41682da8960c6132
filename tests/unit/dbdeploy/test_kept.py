# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a delta that was cut off kept in its session, told from its text."""

from __future__ import annotations

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.kept import Kept, same_again
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.script import split

KEEPERS = "CREATE TEMPORARY TABLE IF NOT EXISTS shop.keepers (id INT)"


@pytest.mark.parametrize(
    ("done", "rest", "lost"),
    [
        ("SET @n = 1", "DO @n", set()),
        ("SET @n = (SELECT 1)", "DO @N", {"@n"}),
        ("SET @n = (SELECT 1)", "DO @n2, '@no', 'a@n', @@n", set()),
        ("SET @`n` = (SELECT 1)", "PREPARE s FROM 'DO @n'", {"@n"}),
        ("SELECT 1, 2 INTO @a, @b", "DO @b", {"@b"}),
        ("UPDATE item SET n = (@a := @a + @b)", "DO @b", set()),
        ("UPDATE item SET n = (@a := @a + @b)", "DO @a", {"@a"}),
        ("CALL p(1, @a)", "DO @a", {"@a"}),
        ("SET @a = (SELECT 1); SET @b = @a", "DO @b", {"@b"}),
        ("SET @a = (SELECT 1); SET @a = 2", "DO @a", set()),
        ("SET @a = (SELECT 1)", "SET @a = 2; DO @a", set()),
        ("SET @a = (SELECT 1)", "SET @a = @a + 1", {"@a"}),
        ("SELECT @@sql_mode INTO @old; SET sql_mode = @old", "DO 1", {"@old"}),
        ("SET @old = @@sql_mode, sql_mode = ''", "SET sql_mode = @old", set()),
        ("INSERT INTO item VALUES (1)", "UPDATE item SET n = Last_Insert_Id()", {"last_insert_id"}),
        ("SET STATEMENT lock_wait_timeout = 1 FOR REPLACE INTO item VALUES (1)", "DO @@last_insert_id",
         {"last_insert_id"}),
        ("UPDATE item SET n = LAST_INSERT_ID(n + 1)", "DO LAST_INSERT_ID()", {"last_insert_id"}),
        ("UPDATE item SET n = 'insert'", "DO LAST_INSERT_ID()", set()),
        ("SELECT * FROM item", "DO FOUND_ROWS()", {"found_rows"}),
        ("INSERT INTO item VALUES (1); SET @id = @@identity", "DO @id", {"@id"}),
        ("SET @now = CURRENT_TIMESTAMP, @id = NEXT VALUE FOR ids", "DO @now, @id", {"@now", "@id"}),
        ("CREATE PROCEDURE p() SELECT 1 INTO @a", "CALL p(); DO @a", set()),
        ("PREPARE s FROM 'DO 1'", "EXECUTE s", {"s"}),
        ("PREPARE s FROM 'DO 1'; DEALLOCATE PREPARE s", "PREPARE s FROM 'DO 2'", set()),
        ("PREPARE s FROM 'DO 1'", "PREPARE s FROM 'DO 2'; EXECUTE s", set()),
        ("PREPARE s FROM 'DO 1'", "EXECUTE s; DEALLOCATE PREPARE s", {"s"}),
        (KEEPERS, "DROP TABLE keepers", {"keepers"}),
        (KEEPERS, "SELECT * FROM `Keepers`", {"keepers"}),
        (KEEPERS, 'SELECT * FROM "keepers"', {"keepers"}),
        (KEEPERS, "SELECT id FROM keepers2", set()),
        (KEEPERS, "CREATE TEMPORARY TABLE keepers (id INT); SELECT * FROM keepers", set()),
        (f"{KEEPERS}; DROP TABLE other, shop.keepers", "SELECT * FROM keepers", set()),
        ("CREATE TEMPORARY TABLE `my-kept` AS SELECT 1", "SELECT * FROM `my-kept`", {"my-kept"}),
    ],
)  # fmt: skip
def test_what_is_lost_is_what_the_rest_uses_and_settings_do_not_give(done: str, rest: str, lost: set[str]) -> None:
    kept = Kept(split(done), split(rest))
    assert (kept.lost, kept.void) == (lost, set())


@pytest.mark.parametrize(
    ("done", "rest", "void"),
    [
        ("PREPARE s FROM 'DO 1'; EXECUTE s", "DEALLOCATE PREPARE s; DO 1", {0}),
        ("PREPARE s FROM 'DO 1'", "DO 1; DROP PREPARE S; PREPARE s FROM 'DO 2'; EXECUTE s; DEALLOCATE PREPARE s", {1}),
        (KEEPERS, "DROP TEMPORARY TABLE shop.keepers", {0}),
    ],
)
def test_what_only_ends_what_is_gone_is_void(done: str, rest: str, void: set[int]) -> None:
    kept = Kept(split(done), split(rest))
    assert (kept.lost, kept.void) == (set(), void)


@pytest.mark.parametrize(
    ("done", "rest", "again", "repeatable"),
    [
        ("SET @x = 1; SELECT 2 INTO @a; SET @b = @a; SELECT 3 INTO @c", "DO @b", [1, 2], True),
        (f"{KEEPERS}; SELECT * FROM keepers", "SELECT * FROM keepers", [0], True),
        (f"{KEEPERS}; INSERT INTO keepers VALUES (1)", "SELECT * FROM keepers", [0, 1], False),
        ("INSERT INTO item VALUES (1); SET @id = LAST_INSERT_ID()", "DO @id", [0, 1], False),
        ("UPDATE item SET n = (@a := 1)", "DO @a", [0], False),
        ("CALL p(@a)", "DO @a", [0], False),
    ],
)
def test_what_made_it_is_run_again_where_that_writes_no_rows(
    done: str, rest: str, again: list[int], repeatable: bool
) -> None:
    kept = Kept(split(done), split(rest))
    assert kept.made_lost == again
    assert all(kept.effects[index].repeatable for index in again) is repeatable


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("UPDATE item SET n = 1; INSERT INTO item VALUES (1)", True),
        ("UPDATE item SET n = @n", True),
        ("DO GET_LOCK('a', 1); UPDATE item SET n = 1", True),
        ("UPDATE item SET n = (@n := @n + 1)", False),
        ("UPDATE item SET n = 1; SET sql_mode = ''", False),
        (f"{KEEPERS}; UPDATE item SET n = 1", False),
        ("INSERT INTO item VALUES (1); UPDATE item SET n = LAST_INSERT_ID()", False),
        ("CALL p(); UPDATE item SET n = 1", False),
    ],
)
def test_what_depends_on_its_own_first_try_is_not_run_again_in_that_session(text: str, same: bool) -> None:
    assert same_again(split(text)) is same
