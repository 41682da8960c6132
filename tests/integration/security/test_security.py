# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The promises of docs/threat-model.md that one module can break: options are tried with what an attacker gives."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import socket
import stat
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.modules import session_purge

from tests.support.modules import ModuleResult, run_ansible, run_module
from tests.support.purge import purge
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.session_store import create_tables

SECRET = "Xq7secretPassword9z"
SQL = ["x`'\"; DROP TABLE victim; -- ", "x\\'; DROP TABLE victim; #", "victim`.`x", "x%s%(y)s{z}"]
LINE_ENDS = ["\r\nX-Evil: 1", " HTTP/1.1\r\nX-Evil: 1\r\n\r\nGET /second", "\0"]


def answered(result: ModuleResult) -> ModuleResult:
    """A result that is none of an exception that nobody thought of."""
    assert "Traceback" not in result.output, result.output
    theirs = ("argument", "null character")  # what Ansible itself refuses
    assert not result.get("failed") or result.get("error_code") or any(word in result["msg"] for word in theirs), result
    return result


# Secrets


@pytest.mark.parametrize("module", ["dbdeploy", "session_purge"])
def test_a_failed_login_shows_no_password(mariadb: MariaDB, tmp_path: Path, module: str) -> None:
    given = {"login_host": "127.0.0.1", "login_port": mariadb.port, "login_user": "nobody", "login_password": SECRET}
    needed: dict[str, dict[str, Any]] = {"dbdeploy": {"deltas": []}, "session_purge": {"store": "mysql"}}
    options = needed[module]
    failed = answered(run_module(module, {**given, "login_db": "x", **options}))
    assert failed["error_code"] == "mysql_access_denied"
    assert SECRET not in failed.output
    option_file = tmp_path / "my.cnf"
    option_file.write_text(f"[client]\nuser=nobody\npassword={SECRET}\nnonsense\n[[\n")
    plain = {name: value for name, value in given.items() if name not in ("login_user", "login_password")}
    failed = answered(run_module(module, {**plain, "config_file": str(option_file), "login_db": "x", **options}))
    assert failed["failed"]
    assert SECRET not in failed.output


def test_what_a_deploy_leaves_on_the_controller(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "settings.php").write_text(f"<?php return '{SECRET}';")
    cache = tmp_path / "cache"
    options = {"source": str(tmp_path / "source"), "cache_dir": str(cache)}
    made = run_ansible("localhost", "localhost,", "artifact", options, "-c", "local")
    assert Path(made["archive"]).is_file()
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


# Injection


@pytest.fixture()
def victim(mariadb: MariaDB, database: str) -> Iterator[dict[str, Any]]:
    """Options that log in to a database with a table that must survive with its one row."""
    mariadb.query(f"CREATE TABLE `{database}`.victim (id INT)")
    mariadb.query(f"INSERT INTO `{database}`.victim VALUES (1)")
    yield {"login_unix_socket": str(mariadb.socket), "login_user": "root", "login_db": database}
    assert mariadb.query(f"SELECT COUNT(*) FROM `{database}`.victim") == [(1,)]


@pytest.mark.parametrize("evil", SQL)
def test_no_option_injects_sql(mariadb: MariaDB, victim: dict[str, Any], evil: str) -> None:
    database = victim["login_db"]
    delta = [
        {
            "name": f"1_{evil.replace('/', '_')}.sql",
            "content": "CREATE TABLE made (id INT);\n-- @UNDO\nDROP TABLE made;",
        }
    ]
    for option in ("changelog_table", "delta_set", "session_table"):
        for state, to in (("applied", {}), ("undone", {"to": 0})):
            answered(run_module("dbdeploy", {**victim, "deltas": delta, option: evil, "state": state, **to}))
    answered(run_module("dbdeploy", {**victim, "deltas": delta, "drop_tags": [evil]}))
    answered(run_module("transaction_drain", {**victim, "user": evil, "drain_timeout": 0}))
    assert mariadb.query(f"SELECT COUNT(*) FROM `{database}`.victim") == [(1,)]


PURGED: dict[str, Any] = {
    "table": "s", "columns": {"id": "sid", "user": "uid", "time": "at"}, "keep_ids": ["a"], "keep_users": ["ann"],
    "epoch_table": "e", "epoch_name": "s",
}  # fmt: skip
FORMER = {"table": "s", "id": "sid", "time": "at"}
# Options of text that are no part of a statement: how to log in, other stores; what has a form of its own.
NO_PART = {
    "login_host", "login_password", "save_path", "owner", "servers", "prefix", "url", "sentinel_service",
    "sentinel_user", "sentinel_password", "id_pattern", "older_than", "lifetime",
}  # fmt: skip


@pytest.mark.parametrize("evil", SQL)
def test_no_option_of_a_purge_injects_sql(mariadb: MariaDB, victim: dict[str, Any], evil: str) -> None:
    database = victim["login_db"]
    mariadb.query("CREATE TABLE s (sid VARCHAR(40), uid VARCHAR(40), at INT)", database=database)
    mariadb.query("CREATE TABLE e (name VARCHAR(40), epoch INT)", database=database)
    texts = {
        name
        for name, option in session_purge.arguments().options.items()
        if option["type"] in ("str", "list", "dict") and "choices" not in option
    }
    assert texts == {*PURGED, *NO_PART, "login_db", "login_user", "former", "where"}, "where is SQL by its purpose"
    bad = [{**PURGED, name: [evil] if isinstance(PURGED[name], list) else evil} for name in set(PURGED) - {"columns"}]
    bad += [{**PURGED, "columns": {**PURGED["columns"], name: evil}} for name in PURGED["columns"]]
    bad += [{**PURGED, name: evil} for name in ("login_db", "login_user")]
    for options in bad:
        for way in ({}, {"older_than": "1h"}, {"keep_users": None, "on_lock": "swap"}, {"layout": "lamp"}):
            with contextlib.suppress(LampError):
                purge("mysql", **{**mariadb.login, "login_db": database, "layout": "custom", **options, **way})
    create_tables(mariadb, database)
    for name in FORMER:
        for rows in ("session", "variable"):
            with contextlib.suppress(LampError):
                former = {**FORMER, name: evil, "rows": rows}
                purge("mysql", **mariadb.login, login_db=database, layout="lamp", former=former, keep_ids=["a"])
    assert mariadb.query(f"SELECT COUNT(*) FROM `{database}`.victim") == [(1,)]


@pytest.fixture()
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A port that answers every request with an empty page, and what it was sent."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _address = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    received.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], received
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.mark.parametrize("evil", LINE_ENDS)
def test_no_option_injects_a_request_header(listener: tuple[int, list[bytes]], evil: str) -> None:
    port, received = listener
    url = f"http://127.0.0.1:{port}"
    usual = {"base_url": url, "tests": [{"path": "/", "timeout": 5}]}
    assert not answered(run_module("smoke_test", usual)).get("failed")
    for bad in (
        {"base_url": f"http://shop{evil}", "address": f"127.0.0.1:{port}"},
        {"base_url": f"{url}/{evil}"},
        {"address": f"127.0.0.1:{port}{evil}"},
        {"bypass_token": f"{'a' * 20}{evil}"},
        {"tests": [{"path": f"/{evil}", "timeout": 5}]},
        {"request_headers": {"X-One": f"1{evil}"}},
        {"request_headers": {f"X-One: 1{evil}": "1"}},
    ):
        result = answered(run_module("smoke_test", {**usual, **bad}))
        assert "a" * 20 not in result.output
    sent = b"\n".join(received)
    assert sent.startswith(b"GET / HTTP/1.1")
    assert b"\nX-Evil" not in sent and b"\rX-Evil" not in sent and b"GET /second" not in sent


@pytest.mark.parametrize("name", ["../../etc", "..", "", "a\0b"])
def test_a_name_cannot_be_a_path(tmp_path: Path, name: str) -> None:
    for module, options in (
        ("maintenance", {"name": name}),
        ("deploy_lock", {"name": name, "path": str(tmp_path / "locks")}),
        ("deploy_record", {"name": name, "path": str(tmp_path / "journal"), "entry": {"id": "1"}}),
        ("release", {"path": str(tmp_path / "app"), "state": "active", "release": name}),
    ):
        assert answered(run_module(module, options))["failed"], module
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


# Files and links


def stage(tmp_path: Path, number: int, **options: Any) -> ModuleResult:
    source = tmp_path / f"source{number}"
    (source / "var" / "uploads").mkdir(parents=True)
    (source / "index.php").write_text(str(number))
    made = run_ansible(
        "localhost",
        "localhost,",
        "artifact",
        {"source": str(source), "cache_dir": str(tmp_path / "cache")},
        "-c",
        "local",
    )
    given = {"path": str(tmp_path / "app"), "release": made["release"], "artifact": made["archive"]}
    return answered(
        run_module("release", {**given, "shared_paths": ["var/uploads"], "writable_paths": ["var/uploads"], **options})
    )


@pytest.mark.parametrize("place", ["var/uploads", "var"])
def test_a_link_in_a_writable_folder_is_not_followed(tmp_path: Path, place: str) -> None:
    outside = tmp_path / "outside"
    (outside / "uploads").mkdir(parents=True)
    (outside / "passwd").write_text("root")
    before = {path: (path.stat().st_uid, path.stat().st_mode) for path in (outside, *outside.rglob("*"))}
    assert stage(tmp_path, 1)["changed"]
    shared = tmp_path / "app" / "shared" / place
    shared.rename(tmp_path / "moved")
    shared.symlink_to(outside)
    stage(tmp_path, 2)
    stage(tmp_path, 3, writable_owner="www-data", writable_group="www-data")
    after = {path: (path.stat().st_uid, path.stat().st_mode) for path in (outside, *outside.rglob("*"))}
    assert after == before


def test_the_purge_follows_no_link(tmp_path: Path) -> None:
    outside, store = tmp_path / "outside", tmp_path / "store"
    (outside / "b").mkdir(parents=True)
    for path in (outside / "sess_a", outside / "b" / "sess_ab", outside / "passwd"):
        path.write_text("kept")
    store.mkdir(mode=0o700)
    (store / "a").symlink_to(outside)
    (store / "sess_link").symlink_to(outside / "passwd")
    os.link(outside / "passwd", store / "sess_hard")
    result = answered(run_module("session_purge", {"store": "files", "save_path": f"2;{store}"}))
    assert not result.get("failed"), result
    assert sorted(str(path.relative_to(outside)) for path in outside.rglob("*") if path.is_file()) == [
        "b/sess_ab",
        "passwd",
        "sess_a",
    ]
    assert (outside / "passwd").read_text() == "kept"


def forged(path: Path, name: str, kind: str, value: str) -> dict[str, str]:
    """A package of this collection's own form with an entry that its artifact module would refuse, and its true id."""
    entries = [["index.php", "f", hashlib.sha256(b"").hexdigest(), 0], [name, kind, value, 0]]
    text = json.dumps({"schema": 1, "entries": entries}).encode()
    with tarfile.open(path, "w:gz") as archive:
        manifest = tarfile.TarInfo(".lamp-manifest.json")
        manifest.size = len(text)
        archive.addfile(manifest, io.BytesIO(text))
        archive.addfile(tarfile.TarInfo("index.php"))
        archive.addfile(tarfile.TarInfo(name))
    lines = json.dumps(sorted(entry[:3] for entry in entries), separators=(",", ":"))
    digest = hashlib.sha256(f"lamp.cluster release 1\n{lines}".encode()).hexdigest()
    return {"artifact": str(path), "release": digest[:16]}


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("/etc/lamp-evil", "f", hashlib.sha256(b"").hexdigest()),
        ("../../../lamp-evil", "f", hashlib.sha256(b"").hexdigest()),
        ("link", "l", "/etc"),
        ("link", "l", "../../../etc"),
        ("device", "c", ""),
    ],
)
def test_a_release_cannot_leave_its_folder(tmp_path: Path, name: str, kind: str, value: str) -> None:
    harmless = forged(tmp_path / "harmless.tar.gz", "other.php", "f", hashlib.sha256(b"").hexdigest())
    app = {"path": str(tmp_path / "app")}
    assert answered(run_module("release", {**app, **harmless}))["changed"]
    evil = forged(tmp_path / "evil.tar.gz", name, kind, value)
    assert answered(run_module("release", {**app, **evil}))["error_code"] == "artifact_unsafe_entry"
    assert not (tmp_path / "app" / "releases" / evil["release"]).exists()
    assert not Path("/etc/lamp-evil").exists()
    assert list(tmp_path.rglob("lamp-evil")) == []


def test_no_file_of_a_release_gets_a_set_user_id_bit(tmp_path: Path) -> None:
    source = tmp_path / "source1" / "var"
    source.mkdir(parents=True)
    tool = source.parent / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o6777)
    made = run_ansible(
        "localhost",
        "localhost,",
        "artifact",
        {"source": str(source.parent), "cache_dir": str(tmp_path / "c")},
        "-c",
        "local",
    )
    given = {"path": str(tmp_path / "app"), "release": made["release"], "artifact": made["archive"]}
    assert answered(run_module("release", given))["changed"]
    mode = (tmp_path / "app" / "releases" / made["release"] / "tool").stat().st_mode
    assert stat.S_IMODE(mode) == 0o755
