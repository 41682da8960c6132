# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says of whether anything took effect: a failed deploy puts back and opens only where nothing did."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils import _mysql
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.lock import NamedLock
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

from tests.support.deltas import DEFAULTS, TABLE, Folder
from tests.support.servers.base import free_port


def test_a_run_with_nothing_to_do_or_that_fails_before_its_first_delta_changed_nothing(deltas: Folder) -> None:
    deltas.write(_1_item=TABLE)
    first, second = deltas.run(drop_tags=["a"]), deltas.run()
    assert (first["database_changed"], second["database_changed"], second["changed"]) == (True, False, False)
    assert deltas.here(drop_tags=["b"])["database_changed"] is False, "that is its own record"
    deltas.write(_2_more="ALTER TABLE item ADD extra INT;")
    assert "database_changed" not in deltas.here(check=True)
    away: dict[str, Any] = {"login_unix_socket": None, "login_host": "127.0.0.1", "login_port": free_port()}
    named = f"lamp.dbdeploy.{deltas.database}.changelog"
    with _mysql.connect({**DEFAULTS, **deltas.arguments()}) as other:
        _mysql.query(other, f"SELECT GET_LOCK('{named}', 0)")
        failed = [deltas.here(**away), deltas.here(lock_timeout=0.1), deltas.here(src=f"{deltas.path}/nowhere")]
    deltas.write(_1_item=TABLE.replace("20", "30"))
    failed.append(deltas.here())
    deltas.write(_1_item=TABLE)
    failed.append(deltas.run(**away))
    failed.append(deltas.run(src=f"{deltas.path}/nowhere"))
    codes = ["unreachable", "dbdeploy_locked", "no_folder", "dbdeploy_changed", "unreachable", "no_folder"]
    for result, code in zip(failed, codes, strict=True):
        assert code in result["error_code"], result
        assert result["database_changed"] is False, result


def test_what_fails_after_the_deltas_does_not_say_that_nothing_changed(
    deltas: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free(_lock: NamedLock) -> None:
        raise LampError("dbdeploy_lock_lost", "The lock is gone.")

    monkeypatch.setattr(NamedLock, "free", free)
    deltas.write(_1_item=TABLE)
    assert "database_changed" not in deltas.here()
    assert deltas.rows("SHOW TABLES LIKE 'item'") == [("item",)]
