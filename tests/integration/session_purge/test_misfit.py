# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prefixes and patterns that do not fit the sessions of a server: what the user is told who logs nobody out by them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.modules import run_module
from tests.support.purge import purge, refused, warned
from tests.support.servers.memcached import MemcachedServer
from tests.support.servers.redis import RedisServer

SESSION = "0123456789abcdefghijklmnop"
PREFIXES = {"redis": "PHPREDIS_SESSION:", "memcached": "memc.sess.key."}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Any]]:
    with RedisServer() as redis, MemcachedServer() as memcached:
        yield {"redis": redis, "memcached": memcached}


@pytest.fixture(params=sorted(PREFIXES))
def store(servers: dict[str, Any], request: pytest.FixtureRequest) -> str:
    """Which server it is about; it is empty."""
    servers["redis"].client.flushall()
    servers["memcached"].client.flush_all()
    return str(request.param)


@pytest.mark.parametrize("check", [True, False])
def test_a_pattern_that_fits_no_key_is_warned_of(servers: dict[str, Any], store: str, check: bool) -> None:
    for name in (f"sf_s{SESSION}", f"sf_s{SESSION}1", "cache"):
        servers[store].client.set(name, "user|i:1;")
    arguments = {"store": store, "servers": [servers[store].address], "prefix": "sf_s", "id_pattern": "[a-f0-9]{32}"}
    done = run_module("session_purge", arguments, check=check)
    assert (done["changed"], done["before"], done["ignored"]) == (False, 0, 2)
    (warning,) = done["warnings"]
    assert "no sessions behind the prefix 'sf_s' by id_pattern '[a-f0-9]{32}', but 2 other keys, left" in str(warning)
    assert SESSION not in done.output


def test_what_is_warned_of_and_what_is_not(servers: dict[str, Any], store: str) -> None:
    usual = PREFIXES[store]
    for name in ("shop:config", f"{usual}a_b", "cache"):
        servers[store].client.set(name, "user|i:1;")
    options: dict[str, Any] = {"servers": [servers[store].address]}
    said = warned(store, **options, prefix="shop:")
    assert said
    assert "prefix 'shop:' by what PHP makes its ids of (letters, digits, comma and minus, 22 to 256 of them)" in said
    assert "but 1 other key, left alone" in said
    said = warned(store, **options)
    assert said
    assert f"prefix '{usual}' by what PHP makes its ids of (letters, digits, comma and minus), but 1 other key" in said
    assert warned(store, **options, prefix="app:") is None
    assert warned(store, **options, prefix="shop:", leftovers="only") is None
    servers[store].client.set(f"shop:{SESSION}", "user|i:1;")
    assert warned(store, **options, prefix="shop:", keep_ids=[SESSION]) is None


def test_sessions_that_are_no_strings_are_warned_of(servers: dict[str, Any]) -> None:
    """As Magento has them in Redis. Names are counted where no string begins like them."""
    client = servers["redis"].client
    client.flushall()
    client.eval("for n = 1, 3000 do redis.call('HSET', ('sess_%032d'):format(n), 'data', 'user|i:1;') end", 0)
    options: dict[str, Any] = {"servers": [servers["redis"].address], "prefix": "sess_"}
    said = warned("redis", **options)
    assert said
    assert "but 3000 other keys" in said
    assert "whether they are strings" in said
    client.set(f"sess_{SESSION}", "user|i:1;")
    assert purge("redis", **options)["purged"] == 1
    assert client.dbsize() == 3000


@pytest.mark.parametrize(
    "spares", [{"keep_ids": [SESSION]}, {"older_than": "1h", "lifetime": "1d"}], ids=["keep_ids", "older_than"]
)
def test_a_dedicated_server_of_which_some_stay_takes_a_prefix(
    servers: dict[str, Any], store: str, spares: dict[str, Any]
) -> None:
    """By PHP's own prefix, a framework's sessions would all stay, though they were said to be all that is there."""
    names = [f"laravel:{letter * 40}" for letter in "ab"]
    for name in names:
        servers[store].client.set(name, "user|i:1;")
    error = refused(store, servers=[servers[store].address], dedicated=True, **spares)
    assert error.code == "session_purge_no_prefix"
    assert f"With {next(iter(spares))}, dedicated cannot" in error.message
    assert PREFIXES[store] in error.next_step
    options: dict[str, Any] = {"servers": [servers[store].address], "dedicated": True, "prefix": "laravel:"}
    assert purge(store, **options, keep_ids=["a" * 40])["purged"] == 1
