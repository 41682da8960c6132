# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A request in flight writes its session back behind the purge's back: the second count finds it, in every store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import Store, Tally
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.files import Files
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.memcached import Memcached
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.mysql import Mysql
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.redis import Redis
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.sql import Table

from tests.support.purge import purge
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.memcached import MemcachedServer
from tests.support.servers.redis import RedisServer


def late(monkeypatch: pytest.MonkeyPatch, kind: type[Store], write: Callable[[], object], times: int) -> None:
    """Have so many passes of a purge be followed by a request that writes."""
    each = kind.purge
    done: list[Tally] = []

    def purge_and_lose(self: Store) -> Tally:
        done.append(each(self))
        if len(done) <= times:
            write()
        return done[-1]

    monkeypatch.setattr(kind, "purge", purge_and_lose)


def assert_caught(
    monkeypatch: pytest.MonkeyPatch, kind: type[Store], write: Callable[[], object], **options: Any
) -> None:
    """Written back once it is purged; written back for ever it is an error that names the place."""
    write()
    with monkeypatch.context() as patch:
        late(patch, kind, write, times=1)
        done = purge(**options)
    assert (done["before"], done["purged"], done["after"]) == (1, 2, 0)
    late(monkeypatch, kind, write, times=99)
    with pytest.raises(LampError, match=f"there were still some in {options['store']} ") as raised:
        purge(**options)
    assert raised.value.code == "session_purge_not_blocked"


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "sessions"
    folder.mkdir()
    file = folder / "sess_a"
    assert_caught(monkeypatch, Files, lambda: file.write_text("user|i:1;"), store="files", save_path=str(folder))


def test_mysql(mariadb: MariaDB, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mariadb.query("CREATE TABLE s (id INT PRIMARY KEY)", database=database)
    options = {"store": "mysql", "login_db": database, **mariadb.login, "layout": "custom", "table": "s"}
    assert_caught(monkeypatch, Mysql, lambda: mariadb.query("REPLACE INTO s VALUES (1)", database=database), **options)


@pytest.mark.parametrize("dedicated", [False, True])
def test_redis(monkeypatch: pytest.MonkeyPatch, dedicated: bool) -> None:
    with RedisServer() as server:
        options = {"store": "redis", "servers": [server.address], "dedicated": dedicated}
        assert_caught(monkeypatch, Redis, lambda: server.client.set("PHPREDIS_SESSION:a", "user|i:1;"), **options)


def test_a_lock_that_comes_again_and_again_is_named_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer() as server:
        late(monkeypatch, Redis, lambda: server.client.set("PHPREDIS_SESSION:a_LOCK", "1"), times=99)
        with pytest.raises(LampError, match=rf"there were still some in redis {server.address} database 0 \(1\)"):
            purge("redis", servers=[server.address])


def test_memcached(monkeypatch: pytest.MonkeyPatch) -> None:
    with MemcachedServer() as server:
        client = server.client
        options = {"store": "memcached", "servers": [server.address]}
        assert_caught(monkeypatch, Memcached, lambda: client.set("memc.sess.key.a", "user|i:1;"), **options)


@pytest.mark.parametrize(("kind", "make"), [(Redis, RedisServer), (Memcached, MemcachedServer)])
def test_a_server_that_is_gone_meanwhile_is_named_and_the_purge_goes_on_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch, kind: type[Store], make: type[RedisServer | MemcachedServer]
) -> None:
    options: dict[str, Any] = {"store": kind.__name__.lower(), "prefix": "s:"}
    with make() as server:
        server.client.set(f"s:{'a' * 26}", "user|i:1;")
        with monkeypatch.context() as patch:
            late(patch, kind, server.kill, times=1)
            with pytest.raises(LampError, match=server.address) as raised:
                purge(**options, servers=[server.address])
        assert raised.value.code == "session_purge_unreachable"
        server.start()
        server.client.set(f"s:{'b' * 26}", "user|i:1;")
        assert purge(**options, servers=[server.address])["purged"] == 1


@pytest.mark.parametrize("on_lock", ["delete", "swap"])
def test_a_database_server_that_is_gone_meanwhile_is_named_as_such(
    mariadb: MariaDB, database: str, monkeypatch: pytest.MonkeyPatch, on_lock: str
) -> None:
    mariadb.query("CREATE TABLE s (id INT PRIMARY KEY)", database=database)
    mariadb.query("INSERT INTO s VALUES (1)", database=database)
    options = {"store": "mysql", "login_db": database, **mariadb.login, "layout": "custom", "table": "s"}
    run = Table._run

    def lost(self: Table, sql: str) -> tuple[int, list[tuple[Any, ...]]]:
        if sql.startswith(("TRUNCATE", "RENAME")):
            mariadb.query(f"KILL {self.connection.thread_id()}")
        return run(self, sql)

    with monkeypatch.context() as patch:
        patch.setattr(Table, "_run", lost)
        with pytest.raises(LampError, match="was lost while it purged s: ") as raised:
            purge(**options, on_lock=on_lock)
    assert raised.value.code == "session_purge_unreachable"
    assert purge(**options, on_lock=on_lock)["purged"] == 1
    assert mariadb.query("SHOW TABLES", database=database) == [("s",)]
