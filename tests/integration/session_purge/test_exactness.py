# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each store filled with neighbours whose names nearly match: the sessions go, and every neighbour survives.

What are sessions and what are neighbours is known by how they were made: no pattern tells them apart here.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import sql
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.support.purge import purge
from tests.support.servers.base import free_port
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.memcached import MemcachedServer
from tests.support.servers.redis import RedisServer

IDS = [  # as PHP makes them, of 5, 4 and 6 bits a character, and a framework
    "q4k1s0lm3s2n5v6b7c8d9e0f1g", "0f8fad5bd9cb469fa16570867728950e", "aB3" * 13 + "z", "aB3,-xYz0123456789AbCd",
]  # fmt: skip
OF_LENGTH = "[A-Za-z0-9,-]{26}"  # the first one's
CHOSEN = ["1", "admin", "a,b-c", "A" * 200]  # ids that an application chose itself
# What other applications, and this one for other things, call their keys; {p} is the prefix, {i} an id of theirs.
NEIGHBOURS = [
    "{p}", "{p}user:17", "{p}page/index.html", "{p}product_17", "{p}cart:{i}", "{p}admin_{i}", "{p}admin.{i}",
    "{p}{p}{i}", "x{p}{i}", "{p}{i}:x", "{p}{i}.bak", "{p}{i}~", "{p}{i}_lock", "{p}{i}_LOCK_LOCK", "{p}{i}_x",
    "{p}{i}*", "{p}{i}é", "{p}{i}%2C", "{p}{i}\\", "{p}*{i}", "{p}_LOCK", "{p}Lock.{i}", "{p}lock.", "{p}lock._{i}",
    "cache:{i}", "{i}", "PHPREDIS_SESSION", "laravel_database_laravel_cache:{i}", "wp:posts:1", "sess_{i}",
]  # fmt: skip
SHORT = [
    "config",
    "product-17",
    "settings",
    "cart",
    "user-9",
    "lock",
    "catalog-17-en-EUR",
    "config_LOCK",
    "lock.config",
]
LONGER = ["{p}hop{i}", "{p}2-{i}", "{p}-admin-{i}", "{p}{i}LOCKED", "{p}product-recommendations-2026"]
quick = settings(
    deadline=None, derandomize=True, database=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)


def neighbours(prefix: str, pattern: str | None, own: bool) -> list[str]:
    """Names that no session of that prefix has. Behind ``own`` prefixes of PHP's, nobody else has short names."""
    templates = NEIGHBOURS + ([] if own else [f"{{p}}{rest}" for rest in SHORT]) + (LONGER if pattern else [])
    theirs = IDS[:-1]  # the shortest id with some signs before it may be as long as the first
    found = {template.format(p=prefix, i=text) for template in templates for text in theirs}
    found |= {variant + text for variant in (prefix.swapcase(), prefix[:-1]) for text in theirs}
    found |= {prefix + text for text in IDS[1:]} if pattern else set()
    return sorted(found - {prefix + text for text in ids(pattern, own)})


def ids(pattern: str | None, own: bool) -> list[str]:
    """What the sessions' ids are."""
    return IDS[:1] if pattern else IDS + CHOSEN if own else IDS


def some_of(names: list[str], most: int) -> some.SearchStrategy[set[str]]:
    return some.sets(some.sampled_from(names), max_size=most)


@pytest.fixture(scope="module")
def memcached_server() -> Iterator[MemcachedServer]:
    with MemcachedServer() as server:
        yield server


def asks(store: str, **options: Any) -> str:
    """With what error a purge is refused."""
    with pytest.raises(LampError) as raised:
        purge(store, **options)
    return raised.value.code


REDIS_PREFIXES = [("PHPREDIS_SESSION:", None), ("PHPREDIS_SESSION:", OF_LENGTH), ("shop:", None), ("shop:", OF_LENGTH)]


@pytest.mark.parametrize(("prefix", "pattern"), [*REDIS_PREFIXES, ("sf_s", OF_LENGTH), ("shop-", OF_LENGTH)])
def test_redis(redis_server: RedisServer, prefix: str, pattern: str | None) -> None:
    own = prefix == "PHPREDIS_SESSION:"
    sessions = [f"{prefix}{text}{end}" for text in ids(pattern, own) for end in ("", "_LOCK")]
    client = redis_server.client

    @quick
    @given(present=some_of(sessions, 6), theirs=some_of(neighbours(prefix, pattern, own), 40))
    def check(present: set[str], theirs: set[str]) -> None:
        client.flushall()
        client.mset(dict.fromkeys({*present, *theirs, "cache"}, "x"))
        client.hset(f"{prefix}{IDS[0]}9", "field", "a hash is no session")
        done = purge("redis", servers=[redis_server.address], prefix=prefix, id_pattern=pattern)
        assert {name.decode() for name in client.keys("*")} == {*theirs, "cache", f"{prefix}{IDS[0]}9"}
        assert done["purged"] == len([name for name in present if not name.endswith("_LOCK")])

    check()


@pytest.mark.parametrize("prefix", ["sf_s", "shop-", "shop", "s,"])
@pytest.mark.parametrize("theirs", [[0], [0, 1]], ids=["of one length", "of two lengths"])
def test_a_prefix_that_another_may_go_on_with_takes_a_pattern(
    redis_server: RedisServer, memcached_server: MemcachedServer, prefix: str, theirs: list[int]
) -> None:
    """Also where the neighbour's keys alone are there, which look like sessions all of them."""
    names = [f"{prefix}hop{IDS[number]}" for number in theirs]
    servers: dict[str, Any] = {"redis": redis_server, "memcached": memcached_server}
    redis_server.client.flushall()
    redis_server.client.mset(dict.fromkeys(names, "x"))
    memcached_server.client.set_many(dict.fromkeys(names, b"x"))
    for store, server in servers.items():
        for more in ({}, {"check": True}, {"keep_ids": ["a"]}):
            refused = asks(store, servers=[server.address], prefix=prefix, **more)
            assert refused == "session_purge_ambiguous_prefix"
        assert purge(store, servers=[server.address], prefix=prefix, id_pattern=OF_LENGTH)["purged"] == 0
    assert redis_server.client.exists(*names) == len(names)
    assert len(memcached_server.client.get_many(names)) == len(names)
    for store, server in servers.items():
        assert purge(store, servers=[server.address], prefix=prefix, dedicated=True, keep_ids=["a"])["purged"] > 0


def test_it_is_said_before_anybody_is_asked() -> None:
    for store in ("redis", "memcached"):
        nobody = [f"127.0.0.1:{free_port()}"]
        assert asks(store, servers=nobody, prefix="sf_s") == "session_purge_ambiguous_prefix"
        assert asks(store, servers=nobody, prefix="sf_s", dedicated=True) == "session_purge_unreachable"


MEMCACHED_PREFIXES = [("memc.sess.key.", None), ("memc.sess.key.", OF_LENGTH), ("shop.", None), ("shop.", OF_LENGTH)]


@pytest.mark.parametrize(("prefix", "pattern"), [*MEMCACHED_PREFIXES, ("sf2s", OF_LENGTH)])
def test_memcached(memcached_server: MemcachedServer, prefix: str, pattern: str | None) -> None:
    own = prefix == "memc.sess.key."
    sessions = [f"{prefix}{lock}{text}" for text in ids(pattern, own) for lock in ("", "lock.")]

    @quick
    @given(present=some_of(sessions, 6), theirs=some_of(neighbours(prefix, pattern, own), 40))
    def check(present: set[str], theirs: set[str]) -> None:
        client = memcached_server.client
        client.flush_all()
        for name in {*present, *theirs}:
            client.set(name.encode(), b"x")
        done = purge("memcached", servers=[memcached_server.address], prefix=prefix, id_pattern=pattern)
        left = {name.decode() for name in client.get_many([name.encode() for name in {*present, *theirs}])}
        assert left == theirs
        assert done["purged"] == len([name for name in present if not name.startswith(f"{prefix}lock.")])

    check()


@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize("at_once", [True, False])
@quick
@given(
    present=some_of([f"sess_{text}" for text in IDS + CHOSEN], 6),
    theirs=some_of([name for name in neighbours("sess_", None, True) if "/" not in name], 40),
    kinds=some.lists(some.sampled_from("fffdl"), min_size=46, max_size=46),
)
def test_files(at_once: bool, depth: int, present: set[str], theirs: set[str], kinds: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        store, elsewhere = Path(root, "sessions"), Path(root, "sessions-of-another")
        leaf = Path(store, *"a"[:depth])
        leaf.mkdir(parents=True)
        store.chmod(0o700)
        elsewhere.mkdir()
        (elsewhere / "sess_a").write_text("theirs")
        survivors = set(theirs)
        for name, kind in zip(sorted(present | theirs), kinds, strict=False):
            if kind == "f":
                (leaf / name).write_text("x")
            elif kind == "d":
                (leaf / name).mkdir()
            else:
                (leaf / name).symlink_to(elsewhere / "sess_a")
            if kind != "f":
                survivors.add(name)
        if depth:
            fill = [store / "sess_above", store / "cache_" / "sess_b"]
            (store / "cache_").mkdir()
            for path in fill:
                path.write_text("no level of the store's")
        options: dict[str, Any] = {"save_path": f"{depth};{store}", "dedicated": at_once}
        purge("files", **options, leftovers="leave")
        purge("files", **options, leftovers="only")
        assert set(os.listdir(leaf)) == survivors
        if depth:
            assert all(path.exists() for path in fill)
        assert (elsewhere / "sess_a").read_text() == "theirs"
        assert set(os.listdir(root)) == {"sessions", "sessions-of-another"}


def test_tables(mariadb: MariaDB, database: str) -> None:
    tails = [
        "_2", "s", "_x", "_variables", "_epochs", "_Variable",
        "_purged_bcdfghj", "_purged_bcdfghjkl", "_purged_20251101",
    ]  # fmt: skip
    neighbours = {f"app_session{tail}" for tail in tails} | {"x_app_session", "app"}
    for table in {"app_session", *neighbours}:
        mariadb.query(
            f"CREATE TABLE `{table}` (id INT PRIMARY KEY) AS SELECT 1 AS id UNION SELECT 2", database=database
        )
    options = {**mariadb.login, "login_db": database, "layout": "custom", "table": "app_session"}
    for on_lock in ("delete", "swap"):
        assert purge("mysql", **options, on_lock=on_lock)["purged"] == 2
        mariadb.query("INSERT INTO app_session VALUES (1), (2)", database=database)
    assert {name for (name,) in mariadb.query("SHOW TABLES", database=database)} == {"app_session", *neighbours}
    for table in neighbours:
        assert mariadb.query(f"SELECT COUNT(*) FROM `{table}`", database=database) == [(2,)]


NEAR = some.text("aAbé_%'\\\"` -", max_size=4)  # what a statement or a pattern could take for something else
APPLICATIONS = some.sampled_from(["shop", "Shop", "shop2", "sho", "%", ""])


@pytest.mark.parametrize("chunk", [2, 10000])
def test_rows(mariadb: MariaDB, database: str, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """Of a table that applications share, the sessions of one go; what is kept is not taken for what resembles it."""
    monkeypatch.setattr(sql, "CHUNK", chunk)

    @quick
    @given(
        rows=some.dictionaries(NEAR, some.tuples(APPLICATIONS, some.booleans())),
        keep=some.lists(NEAR.filter(bool), max_size=4),
        selects=some.sets(some.sampled_from(["where", "older_than"])),
    )
    def check(rows: dict[str, tuple[str, bool]], keep: list[str], selects: set[str]) -> None:
        goes = {
            name
            for name, (app, old) in rows.items()
            if name not in keep and (app == "shop" or "where" not in selects) and (old or "older_than" not in selects)
        }
        cursor.execute(
            "CREATE OR REPLACE TABLE shared (id VARCHAR(9) PRIMARY KEY, app VARCHAR(9), time INT)"
            " CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
        )
        cursor.executemany(
            "INSERT INTO shared VALUES (%s, %s, UNIX_TIMESTAMP() - %s)",
            [(name, app, 9000 * old) for name, (app, old) in rows.items()],
        )
        limits = {"where": "app = 'shop'", "older_than": "1h"}
        options: dict[str, Any] = {
            **mariadb.login, "login_db": database, "layout": "custom", "table": "shared", "keep_ids": keep,
            "columns": {"id": "id", "time": "time"}, **{name: limits[name] for name in selects},
        }  # fmt: skip
        plan, done = purge("mysql", **options, check=True), purge("mysql", **options)
        assert (plan["purged"], done["purged"], done["after"]) == (len(goes), len(goes), len(rows) - len(goes))
        cursor.execute("SELECT id, app FROM shared")
        assert dict(cursor.fetchall()) == {name: app for name, (app, _) in rows.items() if name not in goes}

    with mariadb.connect(database) as connection, connection.cursor() as cursor:
        check()


DOCUMENTS: dict[str, dict[str, Any]] = {
    "session": {"data": "x", "createdAt": 1},
    "no-data": {"createdAt": 1},
    "no-time": {"data": "x"},
    "other-case": {"Data": "x", "createdat": 1},
    "nested": {"session": {"data": "x", "createdAt": 1}},
}


@settings(quick, max_examples=12)
@given(present=some.dictionaries(some.text("ab_9é", min_size=1, max_size=6), some.sampled_from(sorted(DOCUMENTS))))
def test_couchdb(couchdb_server: CouchDb, present: dict[str, str]) -> None:
    present = {f"k{name}": kind for name, kind in present.items()}  # names that begin with _ are the server's own
    databases = ("near", "near2", "near-lamp", "nea")
    for database in databases:
        couchdb_server.request("DELETE", f"/{database}")
        couchdb_server.request("PUT", f"/{database}")
        documents = [{"_id": name, **DOCUMENTS[kind]} for name, kind in present.items()]
        couchdb_server.request("POST", f"/{database}/_bulk_docs", {"docs": documents})
    purge("couchdb", url=couchdb_server.url, login_db="near")
    for database in databases:
        left = {row["id"] for row in couchdb_server.request("GET", f"/{database}/_all_docs")["rows"]}
        assert left == {name for name, kind in present.items() if kind != "session" or database != "near"}
