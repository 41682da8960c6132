# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in CouchDB's protocol: document by document, or the database at once with what must outlive it."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.couchdb import CouchDb as Store

from tests.support.modules import run_module
from tests.support.purge import purge
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.dripping import dripping

COUNTS = ("changed", "before", "purged", "after", "diff")
SECURITY = {"admins": {"names": ["root"], "roles": []}, "members": {"names": [], "roles": ["shop"]}}
VIEWS = {"by_age": {"map": "function (doc) { emit(doc.createdAt); }"}}
ATTACHED = {"note.txt": {"content_type": "text/plain", "data": "aGVsbG8="}}


class Database:
    """A database of sessions with a design document, an attachment to it, and a security object."""

    def __init__(self, server: CouchDb) -> None:
        self.server = server
        self.name = f"phpsessid-{secrets.token_hex(4)}"
        self.ask("PUT", "")
        self.ask("PUT", "/_security", SECURITY)
        self.ask("PUT", "/_design/sessions", {"version": 3, "views": VIEWS, "_attachments": ATTACHED})
        self.options: dict[str, Any] = {"url": server.url, "login_db": self.name}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return self.server.request(method, f"/{self.name}{path}", body)

    def fill(self, *names: str, created: float = 0) -> None:
        documents = [{"_id": name, "data": "user|i:1;", "createdAt": created or time.time()} for name in names]
        self.ask("POST", "/_bulk_docs", {"docs": documents})

    def ids(self) -> set[str]:
        return {row["id"] for row in self.ask("GET", "/_all_docs")["rows"]}

    def purge(self, **options: Any) -> dict[str, Any]:
        return purge("couchdb", **self.options, **options)

    def assert_intact(self) -> None:
        """The design document with its attachment, and the security object."""
        design = self.ask("GET", "/_design/sessions?attachments=true")
        assert (design["version"], design["views"]) == (3, VIEWS)
        assert design["_attachments"]["note.txt"]["data"] == "aGVsbG8="
        assert self.ask("GET", "/_security") == SECURITY


@pytest.fixture()
def database(couchdb: CouchDb) -> Database:
    return Database(couchdb)


def test_the_plan_is_what_the_run_does_and_a_second_run_does_nothing(database: Database) -> None:
    database.fill(*(f"s{number:04}" for number in range(450)))
    database.ask("PUT", "/settings", {"theme": "dark"})
    database.ask("PUT", "/half", {"data": "no session"})
    database.ask("PUT", "/sales", {"type": "report", "data": "of 2025", "createdAt": 1})
    arguments = {"store": "couchdb", **database.options}
    plan = run_module("session_purge", arguments, check=True, diff=True)
    assert len(database.ids()) == 454
    done = run_module("session_purge", arguments, diff=True)
    assert {key: plan[key] for key in COUNTS} == {key: done[key] for key in COUNTS}
    assert (done["purged"], done["after"], done["ignored"]) == (450, 0, 3)
    assert database.ids() == {"_design/sessions", "settings", "half", "sales"}
    database.assert_intact()
    assert not run_module("session_purge", arguments)["changed"]


def test_a_dedicated_database_is_made_anew_with_all_that_is_no_session(database: Database) -> None:
    database.fill("a", "b")
    designs = {f"_design/{name}" for name in ("by user", "a?b#c", "x/y", "50%", "übersicht")}
    database.ask("POST", "/_bulk_docs", {"docs": [{"_id": name, "views": VIEWS} for name in designs]})
    neighbours = {f"{database.name}{end}" for end in ("2", "-lamp", "-lamp-purge2")}
    for name in neighbours:
        database.server.request("PUT", f"/{name}")
    plan = database.purge(dedicated=True, check=True)
    assert database.ids() == {"a", "b", "_design/sessions", *designs}
    done = database.purge(dedicated=True)
    assert {key: plan[key] for key in COUNTS} == {key: done[key] for key in COUNTS}
    assert (done["purged"], database.ids()) == (2, {"_design/sessions", *designs})
    database.assert_intact()
    everywhere = set(database.server.request("GET", "/_all_dbs"))
    assert neighbours <= everywhere
    assert f"{database.name}-lamp-purge" not in everywhere
    assert not database.purge(dedicated=True)["changed"]


@pytest.mark.parametrize("request_number", range(2, 10))
@pytest.mark.parametrize("leftovers", ["leave", "remove"])
def test_a_purge_that_is_killed_anywhere_loses_nothing_and_stops_no_deploy(
    database: Database, request_number: int, leftovers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next deploy counts first, as its plan, and then purges; or somebody sweeps."""
    database.fill("a", "b")
    database.ask("PUT", "/lamp-epoch", {"epoch": 7, "first": 7})
    ask = Store._ask
    writes = 0

    def dies(self: Store, method: str, *arguments: Any, **options: Any) -> Any:
        nonlocal writes
        writes += method != "GET"
        if writes == request_number:
            raise KeyboardInterrupt
        return ask(self, method, *arguments, **options)

    monkeypatch.setattr(Store, "_ask", dies)
    with pytest.raises(KeyboardInterrupt):
        database.purge(dedicated=True)
    monkeypatch.setattr(Store, "_ask", ask)
    sweep = database.purge(leftovers="only", check=True)
    options: dict[str, Any] = {"dedicated": True, "leftovers": leftovers}
    plan = database.purge(**options, check=True)
    done = database.purge(**options)
    assert {key: plan[key] for key in (*COUNTS, "epoch", "exact")} == {
        key: done[key] for key in (*COUNTS, "epoch", "exact")
    }
    assert (sweep["purged"], done["after"], database.ids()) == (0, 0, {"_design/sessions", "lamp-epoch"})
    assert database.ask("GET", "/lamp-epoch")["epoch"] == done["epoch"] == 9
    database.assert_intact()
    assert f"{database.name}-lamp-purge" not in database.server.request("GET", "/_all_dbs")


@pytest.mark.parametrize("options", [{}, {"keep_ids": ["a"]}, {"older_than": "1h"}, {"leftovers": "only"}])
def test_a_database_that_a_killed_purge_dropped_is_counted_as_empty_and_put_back(
    database: Database, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    database.fill("a")
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(Store, "_restore", Mock(side_effect=KeyboardInterrupt))
        database.purge(dedicated=True)
    assert database.ask("GET", "")["error"] == "not_found"
    assert database.purge(**options, check=True)["before"] == 0
    assert database.ask("GET", "")["error"] == "not_found"
    assert database.purge(**options)["before"] == 0
    database.assert_intact()


@pytest.fixture(scope="module")
def replicating() -> Iterator[CouchDb]:
    """One of its own, as it may end when a document of its replicator is changed or removed."""
    with CouchDb() as server:
        yield server


@pytest.mark.parametrize(
    ("source", "target"),
    [("{url}/{name}/", "{url}/{name}-peer"), ("{name}-peer", "{name}"), ({"url": "{url}/{name}"}, "{name}-peer")],
    ids=["to a peer", "from one, by names alone", "with an object"],
)
def test_a_database_that_is_replicated_is_not_made_anew(replicating: CouchDb, source: Any, target: str) -> None:
    """Its peer would give all sessions back."""
    database, other = Database(replicating), Database(replicating)
    form = json.dumps({"source": source, "target": target}).replace("{url}", replicating.url)
    for each, continuous in ((database, True), (other, False)):
        each.fill("a")
        replicating.request("PUT", f"/{each.name}-peer")
        document = {**json.loads(form.replace("{name}", each.name)), "continuous": continuous}
        replicating.request("PUT", f"/_replicator/{each.name}", document)
    for check in (True, False):
        with pytest.raises(LampError, match=f"is replicated .document {database.name} of _replicator.") as raised:
            database.purge(dedicated=True, check=check)
        assert raised.value.code == "session_purge_replicated"
    assert database.purge()["purged"] == 1
    assert other.purge(dedicated=True, check=True)["purged"] == 1


def test_a_database_in_the_way_is_left_alone(database: Database) -> None:
    database.fill("a")
    database.server.request("PUT", f"/{database.name}-lamp-purge")
    database.server.request("PUT", f"/{database.name}-lamp-purge/x", {"precious": 1})
    with pytest.raises(LampError, match="is in its way"):
        database.purge(dedicated=True)
    assert database.ids() == {"a", "_design/sessions"}
    assert database.server.request("GET", f"/{database.name}-lamp-purge/x")["precious"] == 1


def test_age_and_ids_select(database: Database) -> None:
    database.fill("new", "admin")
    database.fill("old", created=time.time() - 7200)
    database.fill("old-in-milliseconds", created=(time.time() - 7200) * 1000)
    assert database.purge(older_than="1h")["purged"] == 2
    assert database.purge(keep_ids=["admin"], dedicated=True)["purged"] == 1
    assert database.ids() == {"admin", "_design/sessions"}


def test_the_epoch_of_the_own_handler_is_raised_and_who_is_kept_is_taken_along(database: Database) -> None:
    database.ask("PUT", "/lamp-epoch", {"epoch": 70, "first": 70})
    own = {"type": "session", "epoch": 70, "createdAt": 1, "expiresAt": 2, "data": "eA=="}
    names = {name: f"session-{hashlib.sha256(name.encode()).hexdigest()}" for name in ("alice", "bob")}
    for name in names.values():
        database.ask("PUT", f"/{name}", own)
    assert database.purge(older_than="1h", check=True).get("epoch") is None
    plan = database.purge(keep_ids=["alice"], check=True)
    assert database.ask("GET", "/lamp-epoch")["epoch"] == 70
    done = database.purge(keep_ids=["alice"])
    assert (plan["epoch"], done["epoch"], done["purged"], done["after"]) == (71, 71, 1, 1)
    assert database.ask("GET", f"/{names['alice']}")["epoch"] == 71
    for dedicated, epoch in ((False, 72), (True, 73)):
        assert database.purge(dedicated=dedicated)["epoch"] == epoch
        stored = database.ask("GET", "/lamp-epoch")
        assert (stored["epoch"], stored["first"]) == (epoch, 70)
        assert database.ids() == {"_design/sessions", "lamp-epoch"}
        database.fill("written-back")
    assert database.purge(dedicated=True)["purged"] == 1
    database.assert_intact()


def test_in_a_window_the_epoch_ends_the_sessions_of_the_own_handler_and_they_are_swept_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.ask("PUT", "/lamp-epoch", {"epoch": 7, "first": 7})
    database.ask("PUT", "/settings", {"theme": "dark"})
    database.ask("PUT", "/sales", {"type": "report", "data": "of 2025", "createdAt": 1})
    database.fill("of-the-layout-of-old")
    own = {"type": "session", "createdAt": 1, "expiresAt": 2, "data": "eA=="}
    sessions = [f"session-{hashlib.sha256(str(number).encode()).hexdigest()}" for number in range(300)]
    database.ask("POST", "/_bulk_docs", {"docs": [{"_id": name, **own, "epoch": 7} for name in sessions]})
    asked: list[str] = []
    ask = Store._ask

    def listening(self: Store, method: str, *arguments: Any, **options: Any) -> Any:
        asked.append(method)
        return ask(self, method, *arguments, **options)

    monkeypatch.setattr(Store, "_ask", listening)
    window = {"leftovers": "leave", "keep_ids": ["12"]}
    plan = database.purge(**window, check=True)
    assert database.ask("GET", "/lamp-epoch")["epoch"] == 7
    asked.clear()
    done = database.purge(**window)
    assert (len(asked) < 20, "DELETE" in asked) == (True, False), asked
    assert {key: plan[key] for key in (*COUNTS, "epoch", "exact")} == {
        key: done[key] for key in (*COUNTS, "epoch", "exact")
    }
    assert (done["epoch"], done["exact"], done["after"], done["purged"]) == (8, False, 1, 302)
    planned = database.purge(leftovers="only", check=True)
    swept = database.purge(leftovers="only")
    assert (planned["swept"], swept["swept"], swept["before"], swept["after"]) == (300, 300, 1, 1)
    kept = {sessions[12], "settings", "sales", "_design/sessions", "lamp-epoch"}
    assert database.ids() == kept
    assert not database.purge(leftovers="only")["changed"]


def test_a_purge_of_some_counts_those_alone_that_had_not_ended_before(database: Database) -> None:
    database.ask("PUT", "/lamp-epoch", {"epoch": 9, "first": 7})
    database.fill("of-the-layout-of-old")
    for name, epoch in (("ended", 8), ("live", 9)):
        database.ask("PUT", f"/session-{name}", {"epoch": epoch, "createdAt": 1, "expiresAt": 2, "data": "eA=="})
    plan = database.purge(older_than="1h", check=True)
    done = database.purge(older_than="1h")
    assert {key: plan[key] for key in (*COUNTS, "swept")} == {key: done[key] for key in (*COUNTS, "swept")}
    assert (done["before"], done["purged"], done["swept"]) == (1, 1, 2)
    assert database.ids() == {"_design/sessions", "lamp-epoch"}


def test_a_document_that_is_written_meanwhile_is_found_by_the_next_pass(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.fill("a", "b")
    write = Store._write

    def late(self: Store, documents: list[dict[str, Any]]) -> bool:
        monkeypatch.setattr(Store, "_write", write)
        database.ask("PUT", "/a", {**database.ask("GET", "/a"), "data": "written back"})
        return write(self, documents)

    monkeypatch.setattr(Store, "_write", late)
    database.purge()
    assert database.ids() == {"_design/sessions"}


@pytest.mark.parametrize("for_ever", [False, True])
def test_a_session_to_keep_that_is_written_meanwhile_is_taken_along_as_it_is_then(
    database: Database, monkeypatch: pytest.MonkeyPatch, for_ever: bool
) -> None:
    database.ask("PUT", "/lamp-epoch", {"epoch": 7, "first": 7})
    for name in ("a", "b"):
        database.ask("PUT", f"/{name}", {"type": "session", "epoch": 7, "createdAt": 1, "expiresAt": 2, "data": "eA=="})
    write = Store._write
    written: list[str] = []

    def late(self: Store, documents: list[dict[str, Any]]) -> bool:
        if for_ever or not written:
            written.append("a")
            database.ask("PUT", "/a", {**database.ask("GET", "/a"), "data": "bmV3"})
        return write(self, documents)

    monkeypatch.setattr(Store, "_write", late)
    if for_ever:
        with pytest.raises(LampError, match="a session to keep is written all the time"):
            database.purge(keep_ids=["a"])
        return
    done = database.purge(keep_ids=["a"])
    kept = database.ask("GET", "/a")
    assert (kept["epoch"], kept["data"], done["epoch"], done["after"]) == (8, "bmV3", 8, 1)
    assert database.ids() == {"_design/sessions", "lamp-epoch", "a"}


def test_what_is_missing_is_named(database: Database) -> None:
    with pytest.raises(LampError) as raised:
        purge("couchdb", url=database.server.url, login_db="nowhere")
    assert (raised.value.code, "nowhere" in raised.value.message) == ("session_purge_no_database", True)
    assert f"curl -u USER -X PUT '{database.server.url}/nowhere'" in raised.value.next_step
    database.server.request("PUT", "/nowhere")
    try:
        assert not purge("couchdb", url=database.server.url, login_db="nowhere", leftovers="leave")["changed"]
    finally:
        database.server.drop("nowhere")
    with pytest.raises(LampError) as raised:
        purge("couchdb", url="http://127.0.0.1:9", login_db="nowhere")
    assert raised.value.code == "session_purge_unreachable"


@pytest.mark.parametrize(
    "begin",
    [
        b"HTTP/1.1 200 OK\r\nX-Header: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["header", "body", "body until the connection ends"],
)
def test_an_answer_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch, begin: bytes) -> None:
    client = "ansible_collections.lamp.cluster.plugins.module_utils._session_stores.couchdb_client"
    monkeypatch.setattr(f"{client}.LONGEST", 0.5)
    with dripping(begin) as port, pytest.raises(LampError) as raised:
        purge("couchdb", url=f"http://127.0.0.1:{port}", login_db="sessions")
    assert (raised.value.code, "timed out" in raised.value.message) == ("session_purge_unreachable", True)
