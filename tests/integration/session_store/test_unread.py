# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session that could not be read is there afterwards, and its cookie leads to it, whatever the page did meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.session_store.conftest import Site, Start
from tests.integration.session_store.test_former import SESSION, SESSION_TABLE
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.mariadb import MariaDB

STORES = ["mysql", "mysql_variable", "couchdb", "former"]
HELD = "while (file_exists($_GET['wait'])) { usleep(5000); clearstatcache(); }"
START = f"<?php session_start(); if (isset($_GET['wait'])) {{ touch($_GET['wait']); {HELD} }}\n"
SHOW = "\necho json_encode(['id' => session_id(), 'session' => $_SESSION ?? []]);"
# What applications do against the fixation of sessions.
GUARD = "if (empty($_SESSION['init'])) { session_regenerate_id(true); $_SESSION = ['init' => 'anew']; }"


@pytest.fixture()
def outage(request: pytest.FixtureRequest) -> Callable[[str, bool], None]:
    """Take the sessions of a store away, or give them back."""

    def on_mysql(sql: str) -> None:
        mariadb: MariaDB = request.getfixturevalue("mariadb")
        mariadb.query(sql, database=request.getfixturevalue("database"))

    def change(store: str, begins: bool) -> None:
        if store == "couchdb":
            server: CouchDb = request.getfixturevalue("couchdb")
            design = server.request("GET", "/phpsessid/_design/lamp_session")
            changed = {**design, "version": design["version"] + (1 if begins else -1)}
            server.request("PUT", "/phpsessid/_design/lamp_session", changed)
        elif store == "former":
            names = ("sess_data", "away") if begins else ("away", "sess_data")
            on_mysql("ALTER TABLE sessions CHANGE {} {} BLOB NOT NULL".format(*names))
        else:
            on_mysql("RENAME TABLE lamp_session TO away" if begins else "RENAME TABLE away TO lamp_session")

    return change


@pytest.fixture()
def shop(site: Start, request: pytest.FixtureRequest) -> Callable[[str], Site]:
    """A shop whose visitor has a cart."""

    def open_shop(store: str) -> Site:
        if store == "former":
            mariadb: MariaDB = request.getfixturevalue("mariadb")
            mariadb.query(SESSION_TABLE, database=request.getfixturevalue("database"))
        opened = site("mysql", former=SESSION) if store == "former" else site(store)
        opened.get(**{"set[init]": "1", "set[cart]": "full"})
        return opened

    return open_shop


def held(shop: Site, code: str) -> Callable[[], Any]:
    """A request of a page of this code that is held when its session has begun."""
    (shop.folder / "public" / "page.php").write_text(START + code + SHOW)
    return shop.during("page.php")


@pytest.mark.parametrize("store", STORES)
def test_a_session_that_could_not_be_read_keeps_its_id_until_it_is_read(
    shop: Callable[[str], Site], outage: Callable[[str, bool], None], store: str
) -> None:
    visited = shop(store)
    before = visited.get()
    outage(store, True)
    again = "session_write_close(); session_start(); session_regenerate_id(true);"
    release = held(visited, f"{GUARD}{GUARD} $kept = session_id(); {again} $_SESSION['kept'] = $kept;")
    outage(store, False)
    seen = release()
    assert seen["session"] == {**before["session"], "kept": before["id"]}
    assert visited.session() == [], "read after all, it got a new id: the old one is void"
    visited.present(seen["id"])
    assert visited.get() == seen
    assert visited.errors.count("could not") == 2, "it was looked up, and read: then it was left alone"


@pytest.mark.parametrize("store", STORES)
def test_a_logout_ends_a_session_that_could_not_be_read_or_says_that_it_did_not(
    shop: Callable[[str], Site], outage: Callable[[str, bool], None], store: str
) -> None:
    visited = shop(store)
    before = visited.get()
    logout = "session_regenerate_id(true); $ended = @session_destroy(); $_SESSION = ['ended' => $ended];"
    if store != "former":  # whose outage hides the data alone
        outage(store, True)
        assert held(visited, logout)()["session"] == {"ended": False}
        outage(store, False)
        assert visited.get() == before
        assert "could not destroy a session" in visited.errors
    outage(store, True)
    release = held(visited, logout)
    outage(store, False)
    assert release()["session"] == {"ended": True}
    assert visited.session() == []


@pytest.mark.parametrize("store", STORES[:3])
def test_a_fault_under_a_new_id_leaves_the_session_under_its_own(
    shop: Callable[[str], Site], outage: Callable[[str, bool], None], store: str
) -> None:
    visited = shop(store)
    before = visited.get()
    release = held(visited, "session_regenerate_id(true); session_regenerate_id(true); $_SESSION['user'] = 'admin';")
    outage(store, True)
    assert release()["id"] == before["id"]
    outage(store, False)
    assert visited.get() == before


@pytest.mark.parametrize("locking", ["advisory", "row"])
def test_a_session_that_another_request_holds_is_not_deleted_under_it(site: Start, locking: str) -> None:
    visited = site("mysql", locking=locking, lock_timeout=1)
    before = visited.get(**{"set[init]": "1", "set[cart]": "full"})
    release = visited.during(**{"set[slow]": "done"})
    late = f"session_start(); {GUARD} {SHOW}"
    assert before["id"] in visited.run(late)
    release()
    assert visited.get() == {**before, "session": {**before["session"], "slow": "done"}}
    assert visited.errors.count("could not") == 1
