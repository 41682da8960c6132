# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""session_purge against real stores: exactly the sessions go, and all of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.modules import ModuleResult, run_module
from tests.support.servers.mariadb import MariaDB

COUNTS = ("changed", "before", "purged", "after", "diff")


def files(path: str, **mode: bool) -> ModuleResult:
    return run_module("session_purge", {"store": "files", "save_path": path}, **mode)


def counts(result: ModuleResult) -> dict[str, Any]:
    return {key: result[key] for key in COUNTS}


def test_the_plan_is_what_the_run_does_and_a_second_run_does_nothing(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"sess_{number}").touch()
    plan = files(str(tmp_path), check=True, diff=True)
    assert len(list(tmp_path.iterdir())) == 3
    done = files(str(tmp_path), diff=True)
    assert counts(plan) == counts(done)
    assert (done["before"], done["purged"], done["after"]) == (3, 3, 0)
    assert not files(str(tmp_path))["changed"]


def test_neighbours_and_links_survive(tmp_path: Path) -> None:
    store, elsewhere = tmp_path / "store", tmp_path / "elsewhere"
    store.mkdir()
    elsewhere.mkdir()
    (elsewhere / "sess_other").write_text("x")
    (store / "sess_linked").symlink_to(elsewhere / "sess_other")
    for name in ("sess_", "xsess_1", "session_1", "sess_1.bak", "cache"):
        (store / name).touch()
    (store / "sess_folder").mkdir()
    (store / "a").symlink_to(elsewhere)
    (store / "sess_mine").touch()
    before = {path.name for path in store.iterdir()}
    assert files(str(store))["purged"] == 1
    assert {path.name for path in store.iterdir()} == before - {"sess_mine"}
    assert (elsewhere / "sess_other").read_text() == "x"


def test_nested_folders_stay_with_owner_and_mode(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    deep.chmod(0o730)
    os.chown(deep, 33, 33)
    (deep / "sess_ab1").touch()
    (tmp_path / "sess_flat").touch()
    (tmp_path / "c").symlink_to(deep)
    assert files(f"2;0600;{tmp_path}")["purged"] == 1
    assert (tmp_path / "sess_flat").exists()
    assert (deep.stat().st_mode & 0o777, deep.stat().st_uid) == (0o730, 33)


def test_a_link_is_no_session_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "sess_1").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert files(str(tmp_path / "link"))["error_code"] == "session_purge_no_folder"
    assert (tmp_path / "real" / "sess_1").exists()
    assert files("sessions")["error_code"] == "session_purge_bad_path"


class Table:
    """A table of sessions, and one of the application's beside it."""

    def __init__(self, server: MariaDB, database: str) -> None:
        self.server = server
        self.database = database
        self.sql("CREATE TABLE lamp_session (id INT PRIMARY KEY AUTO_INCREMENT, user INT)")
        self.sql("CREATE TABLE lamp_session_epoch (name VARCHAR(64) PRIMARY KEY, epoch BIGINT UNSIGNED NOT NULL)")
        self.sql("INSERT INTO lamp_session_epoch VALUES ('lamp_session', 7)")
        self.sql("INSERT INTO lamp_session (user) VALUES (1), (2), (3)")

    def sql(self, sql: str) -> list[tuple[Any, ...]]:
        return self.server.query(sql, database=self.database)

    def purge(self, *, check: bool = False, diff: bool = False, **options: Any) -> ModuleResult:
        arguments = {"store": "mysql", "login_db": self.database, **self.server.login, **options}
        return run_module("session_purge", arguments, check=check, diff=diff)


@pytest.fixture()
def table(mariadb: MariaDB, database: str) -> Table:
    return Table(mariadb, database)


def test_a_table_is_emptied_as_planned(table: Table) -> None:
    plan = table.purge(check=True, diff=True)
    done = table.purge(diff=True, epoch_table="lamp_session_epoch")
    assert counts(plan) == counts(done)
    assert (done["purged"], table.sql("SELECT COUNT(*) FROM lamp_session")) == (3, [(0,)])
    assert table.sql("SELECT epoch FROM lamp_session_epoch") == [(8,)]
    assert not table.purge()["changed"]


def test_only_what_is_selected_goes(table: Table) -> None:
    assert table.purge(where="user <> 2")["purged"] == 2
    assert table.sql("SELECT user FROM lamp_session") == [(2,)]


def test_a_reader_does_not_hold_the_purge_up_for_ever(table: Table) -> None:
    reader = table.server.connect(table.database, autocommit=False)
    reader.query("SELECT * FROM lamp_session")
    assert table.purge(lock_wait_timeout=1)["purged"] == 3
    reader.close()


def test_foreign_keys_do_not_keep_sessions(table: Table) -> None:
    table.sql("CREATE TABLE child (id INT, FOREIGN KEY (id) REFERENCES lamp_session (id) ON DELETE CASCADE)")
    assert table.purge()["after"] == 0


def test_a_missing_table_is_named(table: Table) -> None:
    result = table.purge(table="nowhere")
    assert result["error_code"] == "session_purge_no_table"
    assert "nowhere" in result["msg"]
    assert table.server.password not in result.output
