# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, durations, addresses and layouts, as far as they need no server."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import addresses, couchdb_client, layouts
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.selection import (
    Names,
    Selection,
    duration,
    lifetime_of,
)
from hypothesis import given
from hypothesis import strategies as some

NOTHING: dict[str, Any] = {"store": "files", "where": None, "older_than": None, "keep_ids": [], "keep_users": []}


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("15m", 900), (" 2h", 7200), ("1d", 86400), ("1w", 604800)])
def test_durations(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1y", "-1h", "1.5h", "1h30m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(LampError) as raised:
        duration(text)
    assert raised.value.code == "session_purge_bad_duration"


def test_a_lifetime_is_a_duration() -> None:
    assert lifetime_of({"lifetime": "24m"}) == 1440
    with pytest.raises(LampError, match="lifetime 'long' is no duration"):
        lifetime_of({"lifetime": "long"})


def test_the_moment_that_divides_the_old_from_the_young_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 1000.0
    monkeypatch.setattr("time.time", lambda: clock)
    monkeypatch.setattr("time.monotonic", lambda: clock)
    selection = Selection({**NOTHING, "older_than": "1h"}, frozenset({"older_than"}))
    assert (selection.before, selection.age) == (1000 - 3600, 3600)
    clock += 60
    assert (selection.before, selection.age) == (1000 - 3600, 3660)


def test_a_selection_that_the_store_cannot_make_is_refused() -> None:
    with pytest.raises(LampError) as raised:
        Selection({**NOTHING, "where": "1 = 1", "keep_users": ["1"]}, frozenset({"keep_ids"}))
    assert "keep_users, where" in raised.value.message
    assert Selection(NOTHING, frozenset()).everything
    only = Selection({**NOTHING, "keep_ids": ["a"]}, frozenset({"keep_ids"}))
    assert (only.everything, only.all_but_ids) == (False, True)


@pytest.mark.parametrize("name", ["keep_ids", "keep_users"])
def test_nobody_is_kept_by_a_variable_that_is_not_set(name: str) -> None:
    with pytest.raises(LampError) as raised:
        Selection({**NOTHING, name: ["admin", ""]}, frozenset({name}))
    assert (raised.value.code, name in raised.value.message) == ("session_purge_empty_entry", True)


@pytest.mark.parametrize("name", ["where", "older_than"])
@pytest.mark.parametrize("text", ["", " "])
def test_nobody_is_selected_by_a_variable_that_is_not_set(name: str, text: str) -> None:
    with pytest.raises(LampError) as raised:
        Selection({**NOTHING, name: text}, frozenset({name}))
    assert (raised.value.code, name in raised.value.message) == ("session_purge_empty_entry", True)


@pytest.mark.parametrize("prefix", ["PHPREDIS_SESSION:", "PHPREDIS_CLUSTER_SESSION:", "memc.sess.key."])
@given(text=some.text("abzABZ019,-", min_size=1))
def test_behind_a_prefix_of_php_s_own_any_id_is_a_session_s(prefix: str, text: str) -> None:
    assert Names(prefix, None).id_of(f"{prefix}{text}".encode()) == text


@given(prefix=some.text(max_size=20), rest=some.binary(max_size=40))
def test_a_session_is_the_prefix_and_an_id_and_nothing_else(prefix: str, rest: bytes) -> None:
    names = Names(prefix, None)
    expected = re.fullmatch(rb"[A-Za-z0-9,-]{22,256}", rest) is not None
    assert (names.id_of(prefix.encode() + rest) is not None) == expected
    if prefix:
        assert names.id_of(b"x" + prefix.encode() + rest) is None or prefix.startswith("x")


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(LampError) as raised:
        Names("p:", "[a-z")
    assert raised.value.code == "session_purge_bad_pattern"


def test_addresses() -> None:
    found = addresses.parse(["db1", "db2:7000", "[2001:db8::1]", "[::1]:7000", "/run/redis.sock"], 6379)
    assert [str(address) for address in found] == [
        "db1:6379", "db2:7000", "[2001:db8::1]:6379", "[::1]:7000", "/run/redis.sock",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "::1", "a b", "host:port", "host:0", "host:65536", "tcp://host"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(LampError) as raised:
        addresses.parse([text], 6379)
    assert raised.value.code == "session_purge_bad_address"


@pytest.mark.parametrize(
    "url",
    ["couch:5984", "ftp://couch", "http://couch:port", "http://couch:65536", "http://u:word@couch", "http://c\r\nX: 1"],
)
def test_what_is_no_address_of_a_couchdb_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(LampError) as raised:
        couchdb_client.Client({"url": url})
    assert raised.value.code == "session_purge_bad_url"
    assert "word" not in raised.value.message


def test_a_layout_is_a_preset_with_what_the_options_replace() -> None:
    own = {"layout": "laravel", "table": "app.web_sessions", "columns": {"id": None, "user": "account", "time": None}}
    layout = layouts.of(own)
    assert layout == layouts.LAYOUTS["laravel"]._replace(table="app.web_sessions", user="account")
    assert layouts.of({"layout": "lamp", "table": None, "columns": None}).table == "lamp_session"


def test_ids_are_looked_for_as_they_are_stored() -> None:
    stored = {name: layouts.stored_ids(layouts.LAYOUTS[name], ["a"]) for name in ("symfony", "lamp", "drupal")}
    assert stored["symfony"] == ["a"]
    assert [len(value) for value in stored["lamp"]] == [32]
    assert stored["drupal"] == ["a", "ypeBEsobvcr6wjGzmiPcTaeG7_gUfE5yuYB3ha_uSLs"]
