# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same on Oracle's MySQL, where the catalogue and the locks differ."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

from tests.support.purge import purge
from tests.support.servers.mysql import MySQL


class Sessions:
    """The table ``s`` of three sessions, one of them old; one column is generated, one has a generated default."""

    def __init__(self, server: MySQL) -> None:
        self.server = server
        self.database = f"test_{secrets.token_hex(4)}"
        server.query(f"CREATE DATABASE `{self.database}`")
        self.sql(
            "CREATE TABLE s (id VARCHAR(9) PRIMARY KEY, written TIMESTAMP DEFAULT CURRENT_TIMESTAMP,"
            " size INT GENERATED ALWAYS AS (LENGTH(id)) STORED)"
        )
        self.sql(
            "INSERT INTO s (id, written) VALUES ('old', NOW() - INTERVAL 2 HOUR), ('new', NOW()), ('admin', NOW())"
        )

    def sql(self, sql: str) -> list[tuple[Any, ...]]:
        return self.server.query(sql, database=self.database)

    def purge(self, **options: Any) -> dict[str, Any]:
        columns = {"id": "id", "time": "written"}
        custom: dict[str, Any] = {"layout": "custom", "table": "s", "columns": columns, "login_db": self.database}
        return purge("mysql", **self.server.login, **custom, lock_wait_timeout=1, **options)


@pytest.fixture()
def sessions(mysql: MySQL) -> Iterator[Sessions]:
    made = Sessions(mysql)
    yield made
    mysql.query(f"DROP DATABASE `{made.database}`")


def test_age_selects(sessions: Sessions) -> None:
    assert sessions.purge(older_than="1h")["purged"] == 1
    assert sessions.sql("SELECT id FROM s ORDER BY id") == [("admin",), ("new",)]
    assert sessions.purge()["purged"] == 2


def test_a_swap_keeps_the_rows_as_they_were(sessions: Sessions) -> None:
    before = sessions.sql("SELECT * FROM s WHERE id = 'old'")
    assert sessions.purge(on_lock="swap", keep_ids=["old"], leftovers="leave")["purged"] == 2
    assert sessions.sql("SELECT * FROM s") == before
    assert sessions.purge(leftovers="only")["swept"] == 3
    assert sessions.sql("SHOW TABLES") == [("s",)]


def test_who_holds_the_table_is_named_or_passed_by(sessions: Sessions) -> None:
    reader = sessions.server.connect(sessions.database, autocommit=False)
    reader.query("SELECT * FROM s")
    for on_lock in ("wait", "swap"):
        with pytest.raises(LampError) as raised:
            sessions.purge(on_lock=on_lock)
        assert raised.value.code == "session_purge_locked"
        assert f"(connection {reader.thread_id()}," in raised.value.message
    assert sessions.purge()["purged"] == 3
    reader.close()


@pytest.mark.parametrize("lock", ["LOCK TABLES s READ", "FLUSH TABLES WITH READ LOCK", "LOCK INSTANCE FOR BACKUP"])
def test_who_holds_the_table_is_told_from_who_merely_works_beside(sessions: Sessions, lock: str) -> None:
    report = sessions.server.connect(sessions.database, autocommit=False)
    report.query("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    holder = sessions.server.connect(sessions.database)
    holder.query(lock)
    with pytest.raises(LampError) as raised:
        sessions.purge(on_lock="wait")
    holder.close()
    report.close()
    said = raised.value.message
    assert f"(connection {holder.thread_id()}," in said
    assert f"(connection {report.thread_id()}," not in said, said
