# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs together is done as a whole: connections and transactions that end at the worst moment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.integration.session_store.conftest import Site
from tests.support.servers.failing import LOST, SILENT, Way, failing
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.session_store import create_tables, mysql_settings

Shop = Callable[..., Site]
DEADLOCK, NOT_COMMITTED, CONFLICT, IDLE = 1213, 1180, 3101, 4031


@pytest.fixture()
def way(mariadb: MariaDB, database: str) -> Iterator[Way]:
    """To a server with empty tables."""
    create_tables(mariadb, database)
    with failing(mariadb.port) as found:
        yield found


@pytest.fixture()
def shop(serve: Shop, way: Way, mariadb: MariaDB, database: str) -> Shop:
    """Start a web server whose handler goes that way."""

    def start(handler: str, locking: str = "row", **settings: int) -> Site:
        servers = [{"host": "127.0.0.1", "port": way.port}]
        return serve(mysql_settings(mariadb, database, handler=handler, locking=locking, servers=servers, **settings))

    return start


def test_a_transaction_that_ends_half_way_is_done_again_as_a_whole(shop: Shop, way: Way) -> None:
    site = shop("mysql_variable")
    for statement in ("DELETE FROM lamp_session_variable", "UPDATE lamp_session SET expires_at", "COMMIT"):
        for error in (LOST, DEADLOCK, NOT_COMMITTED, CONFLICT, IDLE):
            site.browser.cookies.clear()
            site.get(**{"set[old]": "1", "set[changed]": "1", "set[kept]": "1"})
            way.fail(statement, error)
            site.get(**{"set[changed]": "2", "set[new]": "2", "unset[]": "old"})
            assert site.session() == {"changed": "2", "kept": "1", "new": "2"}, (statement, error)
    assert (way.troubles, site.errors) == ([], "")


@pytest.mark.parametrize("handler", ["mysql", "mysql_variable"])
def test_a_session_is_read_and_written_whenever_its_transaction_ends(shop: Shop, way: Way, handler: str) -> None:
    site = shop(handler)
    site.get(count="1")
    for statement in ("FOR UPDATE", "SELECT e.epoch", "COMMIT"):
        for error in (LOST, DEADLOCK):
            way.fail(statement, error)
            before = site.session(count="1")
            assert before == site.session(), (statement, error)
    assert (way.troubles, site.errors) == ([], "")


@pytest.mark.parametrize("locking", ["none", "row"])
def test_a_session_of_the_other_handler_is_never_half_taken_apart(shop: Shop, way: Way, locking: str) -> None:
    former, site = shop("mysql", locking), shop("mysql_variable", locking)
    for statement in ("SET data = ''", "INSERT INTO lamp_session_variable", "COMMIT"):
        for error in (LOST, DEADLOCK):
            former.browser.cookies.clear()
            former.get(**{"set[a]": "1", "set[b]": "1"})
            site.browser = former.browser
            way.fail(statement, error)
            for _time in range(2):
                assert site.session() == {"a": "1", "b": "1"}, (statement, error)
    assert (way.troubles, site.errors) == ([], "")


def test_a_new_connection_first_waits_for_what_was_committed_on_the_lost_one(shop: Shop, way: Way) -> None:
    site = shop("mysql_variable", "none")
    way.fail("INSERT INTO lamp_session_variable")
    site.get(**{"set[a]": "1"})
    statements = re.findall(rb"[\x03\x16](SELECT|INSERT INTO lamp_session_variable)", b"".join(way.sent))
    assert [text[:6] for text in statements] == [b"SELECT", b"INSERT", b"SELECT", b"INSERT"]
    assert (site.session(), way.troubles, site.errors) == ({"a": "1"}, [], "")


@pytest.mark.parametrize("locking", ["none", "row"])
def test_a_server_that_stays_silent_is_asked_once_more_and_no_longer(shop: Shop, way: Way, locking: str) -> None:
    site = shop("mysql", locking, read_timeout=0, lock_timeout=1)
    site.get(count="1")
    for _time in range(4):
        way.fail("UPDATE lamp_session", SILENT)
    site.get(count="1")
    assert len(way.troubles) == 2
    assert site.errors.count("could not write a session: no answer within 1 s") == 1
    way.troubles.clear()
    assert site.session() == {"count": 1}


def test_a_server_that_hangs_up_is_not_taken_for_one_whose_packets_are_too_small(shop: Shop, way: Way) -> None:
    site = shop("mysql", "none")
    site.get(count="1")
    for _time in range(4):
        way.fail("UPDATE lamp_session")
    site.get(count="1")
    assert way.troubles == []
    assert "could not write a session" in site.errors
    assert "max_allowed_packet" not in site.errors
