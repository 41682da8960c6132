# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each store filled with neighbours whose names nearly match: the sessions go, and every neighbour survives.

What a session is, is said here a second time, by a pattern of the tests' own.
"""

from __future__ import annotations

import os
import re
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
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.memcached import MemcachedServer
from tests.support.servers.redis import RedisServer

ID = "[A-Za-z0-9,-]+"
LONG = "0123456789abcdefghijklmnop"
ENDS = ("", "_LOCK", "_LOCK_LOCK", "_lock", "LOCK", ".bak", "~", "_x", ":x", "é", "*", "%", "\\")
quick = settings(
    deadline=None, derandomize=True, database=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)


def names(*prefixes: str) -> some.SearchStrategy[set[str]]:
    """Sessions, locks, and what only looks like them."""
    starts = [
        variant
        for prefix in prefixes
        for variant in (
            prefix, prefix[:-1], prefix + prefix[-1], prefix.upper(), prefix.lower(), f"x{prefix}", f"{prefix}lock.",
            f"{prefix}Lock.", prefix * 2, prefix.replace(".", "_"), prefix.replace("_", "*"), prefix.replace(":", "::"),
        )
    ]  # fmt: skip
    ids = some.one_of(some.text("abZ09,-", max_size=6), some.just(LONG), some.text("ab._:*?[é ", max_size=4))
    any_of_them = some.sets(
        some.builds("{}{}{}".format, some.sampled_from(starts), ids, some.sampled_from(ENDS)), min_size=5, max_size=40
    )
    likely = [f"{prefix}{more}{LONG}{end}" for prefix in prefixes for more in ("", "s", "-x-") for end in ("", "_LOCK")]
    return some.builds(set.union, any_of_them, some.sets(some.sampled_from(likely), max_size=3))


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def memcached_server() -> Iterator[MemcachedServer]:
    with MemcachedServer() as server:
        yield server


def purge_or_ask(goes: set[str], lengths: set[int], store: str, **options: Any) -> set[str]:
    """What is gone after a purge: all that ``goes``, or nothing where ids of several ``lengths`` made it ask."""
    if len(lengths) < 2:
        purge(store, **options)
        return goes
    with pytest.raises(LampError) as raised:
        purge(store, **options)
    assert raised.value.code == "session_purge_ambiguous_prefix"
    return set()


@pytest.mark.parametrize("prefix", ["PHPREDIS_SESSION:", "sf_s", "shop-"])
@pytest.mark.parametrize("pattern", [None, "[A-Za-z0-9,-]{26}"])
def test_redis(redis_server: RedisServer, prefix: str, pattern: str | None) -> None:
    session = pattern or (ID if prefix.endswith(":") else "[A-Za-z0-9,-]{22,256}")
    goes = re.compile(re.escape(prefix) + f"({session})(_LOCK)?")
    client = redis_server.client

    @quick
    @given(present=names(prefix, "PHPREDIS_CLUSTER_SESSION:", "sf_s", f"{prefix}admin-"))
    def check(present: set[str]) -> None:
        client.flushall()
        for name in present:
            client.set(name, "x")
        client.hset(f"{prefix}{LONG}9", "field", "a hash is no session")
        ids = {len(match[1]) for match in map(goes.fullmatch, present) if match and not match[2]}
        options: dict[str, Any] = {"servers": [redis_server.address], "prefix": prefix, "id_pattern": pattern}
        sessions = {name for name in present if goes.fullmatch(name)}
        gone = purge_or_ask(sessions, set() if prefix.endswith(":") else ids, "redis", **options)
        left = {name.decode() for name in client.keys("*")}
        assert left == (present - gone) | {f"{prefix}{LONG}9"}

    check()


@pytest.mark.parametrize("prefix", ["memc.sess.key.", "sf2s"])
@pytest.mark.parametrize("pattern", [None, "[A-Za-z0-9,-]{26}"])
def test_memcached(memcached_server: MemcachedServer, prefix: str, pattern: str | None) -> None:
    session = pattern or (ID if prefix.endswith(".") else "[A-Za-z0-9,-]{22,256}")
    goes = re.compile(re.escape(prefix) + f"(lock\\.)?({session})")

    @quick
    @given(present=names(prefix, "memc.sess.", "sf2s", f"{prefix}admin-"))
    def check(present: set[str]) -> None:
        present = {name for name in present if " " not in name}
        client = memcached_server.client
        client.flush_all()
        for name in present:
            client.set(name.encode(), b"x")
        ids = {len(match[2]) for match in map(goes.fullmatch, present) if match and not match[1]}
        options: dict[str, Any] = {"servers": [memcached_server.address], "prefix": prefix, "id_pattern": pattern}
        sessions = {name for name in present if goes.fullmatch(name)}
        gone = purge_or_ask(sessions, set() if prefix.endswith(".") else ids, "memcached", **options)
        left = {name.decode() for name in client.get_many([name.encode() for name in present])}
        assert left == present - gone

    check()


@pytest.mark.parametrize("at_once", [True, False])
@quick
@given(present=names("sess_", "session_"), kinds=some.lists(some.sampled_from("fffdl"), min_size=40, max_size=40))
def test_files(at_once: bool, present: set[str], kinds: list[str]) -> None:
    goes = re.compile(f"sess_{ID}")
    with tempfile.TemporaryDirectory() as root:
        store, elsewhere = Path(root, "sessions"), Path(root, "sessions-of-another")
        store.mkdir()
        elsewhere.mkdir()
        (elsewhere / "sess_a").write_text("theirs")
        survivors = set()
        for name, kind in zip(sorted(present), kinds, strict=False):
            if kind == "f":
                (store / name).write_text("x")
            elif kind == "d":
                (store / name).mkdir()
            else:
                (store / name).symlink_to(elsewhere / "sess_a")
            if kind != "f" or not goes.fullmatch(name):
                survivors.add(name)
        options: dict[str, Any] = {"save_path": str(store), "dedicated": at_once}
        purge("files", **options, leftovers="leave")
        purge("files", **options, leftovers="only")
        assert set(os.listdir(store)) == survivors
        assert (elsewhere / "sess_a").read_text() == "theirs"
        assert set(os.listdir(root)) == {"sessions", "sessions-of-another"}


def test_tables(mariadb: MariaDB, database: str) -> None:
    tails = ["_2", "s", "_x", "_variables", "_epochs", "_Variable", "_purged_0123456", "_purged_012345678"]
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
        keep=some.lists(NEAR, max_size=4),
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
