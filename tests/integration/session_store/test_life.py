# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What else pages do with a session: they reset, abort, clean up, die, write in the shutdown, and hold very much."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.session_store.conftest import Site, Start
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.session_store import ENTRY, FILES, create_tables, mysql_settings

HANDLERS = ["mysql", "mysql_variable", "couchdb"]
LOCKS = [(handler, locking) for handler in HANDLERS[:2] for locking in ("row", "advisory")]


@pytest.mark.parametrize(("handler", "locking"), [*((handler, "none") for handler in HANDLERS), *LOCKS])
def test_a_session_is_reset_aborted_and_only_read(site: Start, handler: str, locking: str) -> None:
    shop = site(handler, locking=locking, lock_timeout=1)
    shop.get(**{"set[a]": "1"})
    show = "echo json_encode($_SESSION);"
    reset = f"session_start(); $_SESSION['a'] = 2; session_reset(); {show} $_SESSION['b'] = 1;"
    assert json.loads(shop.run(reset)) == {"a": "1"}
    assert shop.session() == {"a": "1", "b": 1}
    again = "session_start(['read_and_close' => true]);"
    assert json.loads(shop.run(f"session_start(); $_SESSION['a'] = 2; session_abort(); {again} {show}"))["a"] == "1"
    renew = "session_start(); session_reset(); session_regenerate_id(true); $_SESSION['c'] = 1;"
    shop.run(f"{renew} session_write_close(); session_start(); {show}")
    assert shop.session() == {"a": "1", "b": 1, "c": 1}
    assert shop.errors == ""


@pytest.mark.parametrize("handler", HANDLERS)
def test_what_is_changed_in_the_shutdown_or_before_an_error_is_written(site: Start, handler: str) -> None:
    shop = site(handler)
    shop.run("register_shutdown_function(function () { $_SESSION['late'] = 1; exit; }); session_start();")
    assert shop.session() == {"late": 1}
    said = shop.run("session_start(); $_SESSION['error'] = 1; ini_set('memory_limit', '8M'); str_repeat('x', 3e7);")
    assert "Allowed memory size" in said
    assert shop.session() == {"late": 1, "error": 1}


@pytest.mark.parametrize("handler", HANDLERS[:2])
def test_under_row_locks_nobody_who_cleans_up_waits_for_a_session_in_use(
    site: Start, mariadb: MariaDB, database: str, handler: str
) -> None:
    shop = site(handler, locking="row", lock_timeout=1)
    shop.get(count="1")
    mariadb.query("UPDATE lamp_session SET expires_at = 1", database=database)
    shop.get(count="1")
    # In the index of expiry the one in use comes right behind the one that expired.
    mariadb.query("UPDATE lamp_session SET expires_at = expires_at - 60 WHERE expires_at > 1", database=database)
    held = shop.during(count="1", gc="1")
    shop.browser.cookies.clear()
    assert shop.session(count="1", gc="1")["count"] == 1
    held()
    assert shop.errors == ""
    assert mariadb.query("SELECT COUNT(*) FROM lamp_session", database=database) == [(2,)]


def test_a_session_of_very_many_variables(site: Start) -> None:
    shop = site("mysql_variable")
    shop.run('session_start(); for ($n = 0; $n < 14000; ++$n) { $_SESSION["v$n"] = $n; }')
    assert len(shop.session()) == 14000  # times five: more values than one statement may have
    shop.run("session_start(); $_SESSION = ['a' => 1];")
    assert shop.session() == {"a": 1}
    assert shop.errors == ""


def test_settings_outside_of_the_open_basedir_are_named_in_the_log_alone(
    serve: Callable[..., Site], tmp_path: Path
) -> None:
    shop = serve({}, open_basedir=f"{ENTRY.parent}:{tmp_path / 'site0' / 'public'}")
    assert shop.session() == []
    assert "config.php cannot be read" in shop.errors


def test_an_upload_that_asks_for_its_progress_logs_nobody_out(
    serve: Callable[..., Site], mariadb: MariaDB, database: str
) -> None:
    template = (FILES.parent / "templates" / "php.ini.j2").read_text()
    ini = dict(re.findall(r"^([\w.]+) = ([^{}\s]+)$", template, re.M))
    assert ini["session.use_strict_mode"] == "1"
    create_tables(mariadb, database)
    served = {"session.upload_progress.enabled": "1"}  # everywhere but in PHP's own server it is so
    shop = serve(mysql_settings(mariadb, database), **{**served, **ini})
    identity = shop.get(**{"set[user]": "1"})["id"]
    form: dict[str, Any] = {"PHP_SESSION_UPLOAD_PROGRESS": (None, "123"), "file": ("a.txt", b"x" * 100)}
    answer = requests.post(shop.server.url, files=form, cookies=shop.browser.cookies, timeout=60)
    assert answer.json() == {"session": {"user": "1"}, "id": identity}
    assert answer.headers.get("Set-Cookie") is None
    assert shop.errors == ""
