# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that are still in the table of another handler, which this collection's handlers work on meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

from tests.integration.session_purge.test_mysql import Tables
from tests.integration.session_purge.test_role import play
from tests.support.modules import BIN
from tests.support.servers.mariadb import MariaDB

SESSION = {"layout": "session", "table": "sessions", "id": "sess_key", "time": "changed", "time_is": "changed_unix"}


@pytest.fixture()
def tables(mariadb: MariaDB, database: str) -> Tables:
    made = Tables(mariadb, database)
    made.make_own()
    made.sql("CREATE TABLE sessions (sess_key VARCHAR(64) PRIMARY KEY, data BLOB, changed INT NOT NULL DEFAULT 0)")
    made.sql("INSERT INTO sessions (sess_key) VALUES ('dave'), ('erin')")
    made.sql("CREATE TABLE vars (sid VARCHAR(64), name VARCHAR(64), value BLOB, PRIMARY KEY (sid, name))")
    made.sql("INSERT INTO vars (sid, name) VALUES ('dave', 'a'), ('dave', 'b')")
    return made


@pytest.mark.parametrize("called", ["sessions", "lamp_session_former"], ids=["in use", "half taken over"])
def test_what_is_in_it_goes_too_until_it_was_taken_over(tables: Tables, called: str) -> None:
    if called != "sessions":
        tables.sql(f"RENAME TABLE sessions TO {called}")
    former = {"table": "sessions", "rows": "session", "id": "sess_key", "time": None}
    for check in (True, False):
        told = tables.purge(former=former, check=check)
        assert (told["before"], told["purged"], told["epoch"]) == (5, 5, 2)
        assert f"mysql {called}: 2 sessions\n" in told["diff"]["before"]
    assert [tables.number(table) for table in ("lamp_session", called, "vars")] == [0, 0, 2]
    tables.sql(f"DROP TABLE {called}")
    assert tables.purge(former=former)["purged"] == 0
    other = {**former, "table": "vars", "rows": "variable", "id": "sid"}
    assert tables.purge(former=other, layout="symfony", table="vars")["before"] == 2, "with our own layout alone"


def test_of_variables_a_session_counts_once_and_those_to_keep_stay(tables: Tables) -> None:
    tables.sql("INSERT INTO vars (sid, name) VALUES ('erin', 'a')")
    former = {"table": "vars", "rows": "variable", "id": "sid", "time": None}
    assert tables.purge(former=former, keep_ids=["erin"])["purged"] == 4
    assert tables.sql("SELECT sid FROM vars") == [("erin",)]


def test_a_user_who_may_not_know_of_it_is_refused(tables: Tables) -> None:
    tables.sql("DROP USER IF EXISTS own_only")
    tables.sql("CREATE USER own_only IDENTIFIED BY 'secret'")
    for table in ("lamp_session", "lamp_session_variable", "lamp_session_epoch"):
        tables.sql(f"GRANT ALL ON {table} TO own_only")
    login: dict[str, Any] = {"login_user": "own_only", "login_password": "secret"}
    with pytest.raises(LampError, match=r"The sessions in sessions cannot be purged: .*denied"):
        tables.purge(former={"table": "sessions", "rows": "session", "id": None, "time": None}, **login)
    assert tables.epoch == 1


def test_the_role_knows_it_by_the_settings_of_the_store(tables: Tables, tmp_path: Path) -> None:
    variables = {
        "deploy_hosts": "web1", "session_purge_login_db": tables.database, "session_store_former": SESSION,
        "ansible_python_interpreter": str(BIN / "python"),
        **{f"session_purge_{name}": value for name, value in tables.server.login.items()},
    }  # fmt: skip
    play(tmp_path, "lamp.cluster.purge_sessions", "-e", json.dumps(variables))
    assert [tables.number(table) for table in ("lamp_session", "sessions")] == [0, 0]
