# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of one session that meet, by handler: logout, purge, new ids and locks in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.session_store.conftest import Site, Start
from tests.support.modules import run_module
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.mariadb import MariaDB

HANDLERS = ["mysql", "mysql_variable", "couchdb"]
MYSQL = HANDLERS[:2]


@pytest.fixture()
def purge(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """End all sessions of a handler by its epoch."""

    def purge(handler: str) -> None:
        if handler == "couchdb":
            server: CouchDb = request.getfixturevalue("couchdb")
            epoch = server.request("GET", "/phpsessid/lamp-epoch")
            server.request("PUT", "/phpsessid/lamp-epoch", {**epoch, "epoch": epoch["epoch"] + 1})
        else:
            mariadb: MariaDB = request.getfixturevalue("mariadb")
            database: str = request.getfixturevalue("database")
            mariadb.query("UPDATE lamp_session_epoch SET epoch = epoch + 1", database=database)

    return purge


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_session_is_kept_until_it_is_ended(site: Start, handler: str) -> None:
    shop = site(handler)
    identity = shop.get(**{"set[v]": "hello"})["id"]
    assert shop.get() == {"session": {"v": "hello"}, "id": identity}
    renewed = shop.get(renew="1")["id"]
    assert renewed != identity
    assert shop.session() == {"v": "hello"}
    shop.present(identity)
    assert shop.session() == [], "the old id is void"
    shop.present(renewed)
    shop.get(destroy="1")
    assert shop.session() == []
    assert shop.errors == ""


@pytest.mark.parametrize("handler", HANDLERS)
def test_an_id_that_was_never_given_is_not_taken(site: Start, handler: str) -> None:
    shop = site(handler)
    for cookie in ("x%27%20OR%20%271%27=%271", "..%2f..%2f_users", "lamp-epoch", "unknown", "a" * 300):
        shop.present(cookie)
        given = shop.get(**{"set[v]": "1"})["id"]
        assert given != cookie
        assert len(given) == 32
    assert shop.errors == ""


@pytest.mark.parametrize("handler", HANDLERS[1:])
def test_concurrent_requests_keep_what_each_changed(site: Start, handler: str) -> None:
    shop = site(handler)
    shop.get(**{"set[a]": "0", "set[b]": "0", "set[c]": "0"})
    held = shop.during(**{"set[a]": "1", "unset[]": "c"})
    assert shop.session(**{"set[b]": "2", "set[d]": "3"}) == {"a": "0", "b": "2", "c": "0", "d": "3"}
    held()
    assert shop.session() == {"a": "1", "b": "2", "d": "3"}
    assert shop.errors == ""


@pytest.mark.parametrize("handler", HANDLERS)
def test_of_two_writes_to_one_variable_the_last_commit_stays(site: Start, handler: str) -> None:
    shop = site(handler)
    shop.get(**{"set[a]": "0"})
    held = shop.during(**{"set[a]": "started first"})
    shop.get(**{"set[a]": "ended first"})
    held()
    assert shop.session() == {"a": "started first"}


@pytest.mark.parametrize("handler", HANDLERS)
def test_many_requests_at_once_each_add_their_variable(site: Start, handler: str) -> None:
    shop = site(handler, **({"locking": "row"} if handler == "mysql" else {}))
    shop.get(**{"set[first]": "1"})
    names = [f"v{number}" for number in range(12)]
    list(shop.pool.map(lambda name: shop.get(**{f"set[{name}]": "1"}), names))
    assert sorted(shop.session()) == sorted(["first", *names])
    assert shop.errors == ""


@pytest.mark.parametrize("handler", HANDLERS)
def test_objects_references_and_bytes(site: Start, handler: str) -> None:
    shop = site(handler)
    shop.get(objects="1", bytes="8")
    for _ in range(2):
        seen = shop.session(count="1")
        assert seen["box"] == "same"
        assert seen["list"] == [7, 7], "the reference inside of a variable lives"
        assert seen["bytes"][0] == 2048
    assert seen["count"] == 2
    assert shop.errors == ""


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_session_that_was_ended_meanwhile_stays_ended(site: Start, handler: str) -> None:
    shop = site(handler)
    shop.get(**{"set[user]": "demo"})
    held = shop.during(**{"set[a]": "1"})
    shop.get(destroy="1")
    held()
    assert shop.session() == []
    assert shop.errors == ""


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("renew", [{}, {"renew": "1"}])
def test_no_request_in_flight_survives_a_purge(
    site: Start, handler: str, renew: dict[str, str], purge: Callable[[str], None]
) -> None:
    shop = site(handler)
    shop.get(**{"set[user]": "demo"})
    held = shop.during(**{"set[a]": "1"}, **renew)
    purge(handler)
    shop.present(held()["id"])
    assert shop.session() == []


def options_of(handler: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Where the module session_purge finds the sessions of a handler."""
    if handler == "couchdb":
        server: CouchDb = request.getfixturevalue("couchdb")
        return {"store": "couchdb", "url": server.url, "login_db": "phpsessid"}
    mariadb: MariaDB = request.getfixturevalue("mariadb")
    return {"store": "mysql", **mariadb.login, "login_db": request.getfixturevalue("database")}


@pytest.mark.parametrize("way", [{}, {"dedicated": True}, {"leftovers": "leave"}], ids=["exact", "dedicated", "window"])
@pytest.mark.parametrize("handler", HANDLERS)
def test_the_module_session_purge_ends_them_all(
    site: Start, handler: str, way: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    shop = site(handler)
    shop.get(**{"set[user]": "demo"})
    held = shop.during(**{"set[a]": "1"})
    options = options_of(handler, request)
    purged = run_module("session_purge", {**options, **way})
    assert not purged.get("failed"), purged
    assert purged["after"] == 0
    held()
    assert shop.session(count="1") == {"count": 1}
    assert shop.session(count="1") == {"count": 2}, "new sessions are kept"
    run_module("session_purge", {**options, "leftovers": "only"})
    assert shop.session(count="1") == {"count": 3}, "and are not swept"
    assert shop.errors == ""


@pytest.mark.parametrize("leftovers", ["remove", "leave"])
@pytest.mark.parametrize("handler", HANDLERS)
def test_the_module_session_purge_keeps_whose_cookies_it_is_given(
    site: Start, handler: str, leftovers: str, request: pytest.FixtureRequest
) -> None:
    shop = site(handler)
    ended = shop.get(**{"set[user]": "demo"})["id"]
    shop.browser.cookies.clear()
    kept = shop.get(**{"set[user]": "admin"})["id"]
    options = options_of(handler, request)
    purged = run_module("session_purge", {**options, "keep_ids": [kept], "leftovers": leftovers})
    assert (purged["before"], purged["purged"], purged["after"]) == (2, 1, 1), purged
    assert run_module("session_purge", {**options, "leftovers": "only"})["after"] == 1
    assert shop.get(**{"set[more]": "1"}) == {"session": {"user": "admin", "more": "1"}, "id": kept}
    assert shop.session() == {"user": "admin", "more": "1"}
    shop.present(ended)
    assert shop.session() == []
    assert shop.errors == ""


def check_locks(shop: Site) -> None:
    shop.get(count="1")
    list(shop.pool.map(lambda _: shop.get(count="1"), range(12)))
    assert shop.session(count="1") == {"count": 14}
    assert shop.errors == ""


@pytest.mark.parametrize("handler", MYSQL)
@pytest.mark.parametrize("locking", ["advisory", "row"])
def test_locks_lose_no_count(site: Start, handler: str, locking: str) -> None:
    check_locks(site(handler, locking=locking))


@pytest.mark.parametrize("handler", MYSQL)
@pytest.mark.parametrize("locking", ["advisory", "row"])
def test_the_wait_for_a_lock_is_bounded(site: Start, handler: str, locking: str) -> None:
    shop = site(handler, locking=locking, lock_timeout=1)
    shop.get(count="1")
    held = shop.during(count="1")
    assert shop.session(count="1") == {"count": 1}, "read nothing, and so writes nothing"
    held()
    assert shop.session() == {"count": 2}
    assert "could not read a session" in shop.errors


@pytest.mark.parametrize("locking", ["advisory", "row"])
def test_a_new_id_under_a_lock(site: Start, locking: str) -> None:
    shop = site("mysql", locking=locking, lock_timeout=1)
    shop.get(count="1")
    shop.get(count="1", renew="1")
    assert shop.session(count="1") == {"count": 3}
    assert shop.errors == ""


def test_a_dead_database_shows_nothing_and_is_logged(site: Start, mariadb: MariaDB, database: str) -> None:
    shop = site("mysql")
    shop.get(**{"set[v]": "kept"})
    mariadb.query("RENAME TABLE lamp_session TO away", database=database)
    assert shop.session(**{"set[v]": "lost"}) == {"v": "lost"}
    assert "lamp.cluster: could not" in shop.errors
    mariadb.query("RENAME TABLE away TO lamp_session", database=database)
    assert shop.session() == {"v": "kept"}


@pytest.mark.parametrize("handler", MYSQL)
def test_a_packet_that_is_too_small_is_named_and_the_session_stays(site: Start, handler: str, mariadb: MariaDB) -> None:
    before = mariadb.query("SELECT @@GLOBAL.max_allowed_packet")[0][0]
    shop = site(handler)
    try:
        mariadb.query("SET GLOBAL max_allowed_packet = 1048576")
        shop.get(**{"set[a]": "1"})
        shop.get(bytes="65535")
        assert "max_allowed_packet" in shop.errors
        assert shop.session() == {"a": "1"}, "what did not fit left the session as it was"
    finally:
        mariadb.query(f"SET GLOBAL max_allowed_packet = {before}")


def test_without_its_settings_php_keeps_its_own_handler(site: Start) -> None:
    shop = site("mysql")
    (shop.folder / "config.php").unlink()
    assert shop.session(**{"set[v]": "1"}) == {"v": "1"}
    assert "cannot be read; sessions stay with the handler of php.ini" in shop.errors


def test_a_session_that_php_started_itself_is_left_alone(serve: Callable[..., Site]) -> None:
    shop = serve({"handler": "couchdb", "servers": []}, **{"session.auto_start": "1"})
    (shop.folder / "public" / "index.php").write_text("<?php echo json_encode(['session' => session_status()]);")
    assert shop.session() == 2
    assert "the handler comes too late" in shop.errors
