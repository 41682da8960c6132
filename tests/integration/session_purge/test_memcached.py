# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in Memcached: several servers, locks, TLS, logins, servers of sessions alone."""

from __future__ import annotations

import base64
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import addresses
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.memcached_client import (
    HEADER,
    REQUEST,
    Binary,
)

from tests.support.modules import run_module
from tests.support.purge import DEFAULTS, purge
from tests.support.servers.base import free_port
from tests.support.servers.memcached import MemcachedServer, SaslMemcachedServer, TlsMemcachedServer

PHP = "memc.sess.key."
GET, SET, NOT_FOUND = 0x00, 0x01, 1  # of the binary protocol
NAMES = [f"{PHP}a", f"{PHP}b", f"{PHP}lock.a", f"{PHP}a_b", "cache"]
STAY = {f"{PHP}a_b", "cache"}  # of them
COUNTS = ("changed", "before", "purged", "after", "diff")


@pytest.fixture(scope="module")
def running() -> Iterator[MemcachedServer]:
    with MemcachedServer() as server:
        yield server


@pytest.fixture()
def server(running: MemcachedServer) -> MemcachedServer:
    running.client.flush_all()
    return running


def fill(server: MemcachedServer, *names: str) -> None:
    assert server.client.set_many(dict.fromkeys(names, "user|i:1;")) == []


def left(server: MemcachedServer, *names: str) -> set[str]:
    return set(server.client.get_many(names))


def run(server: MemcachedServer, **options: Any) -> dict[str, Any]:
    return purge("memcached", servers=[server.address], **options)


def test_the_plan_is_what_the_run_does_and_a_second_run_does_nothing(server: MemcachedServer) -> None:
    names = [f"{PHP}a", f"{PHP}b,-1", f"{PHP}lock.a", f"{PHP}a_b", "cache"]
    fill(server, *names)
    arguments = {"store": "memcached", "servers": [server.address]}
    plan = run_module("session_purge", arguments, check=True, diff=True)
    assert left(server, *names) == set(names)
    done = run_module("session_purge", arguments, diff=True)
    assert {key: plan[key] for key in COUNTS} == {key: done[key] for key in COUNTS}
    assert (done["purged"], done["ignored"]) == (2, 1)
    assert left(server, *names) == {f"{PHP}a_b", "cache"}
    assert not run_module("session_purge", arguments)["changed"]


def test_a_session_of_the_extension_goes_with_its_lock(server: MemcachedServer) -> None:
    code = "session_start(); $_SESSION['user'] = 1; session_write_close(); session_start(); posix_kill(getmypid(), 9);"
    subprocess.run(
        [
            "php", "-d", "session.save_handler=memcached", "-d", f"session.save_path={server.address}",
            "-d", "memcached.sess_locking=1", "-r", code,
        ],
        check=False, capture_output=True,
    )  # fmt: skip
    assert run(server, check=True)["changed"]
    assert run(server)["purged"] == 1
    assert run(server, dedicated=True)["before"] == 0


def test_all_servers_are_purged_and_one_that_is_away_is_named(server: MemcachedServer) -> None:
    with MemcachedServer() as second:
        for number in range(3000):
            fill(server if number % 2 else second, f"{PHP}{number:026}")
        done = purge("memcached", servers=[server.address, second.address])
        assert (done["purged"], done["after"]) == (3000, 0)
        assert done["diff"]["before"].splitlines()[1] == f"memcached {second.address}: 1500 sessions"
    nobody = f"127.0.0.1:{free_port()}"
    with pytest.raises(LampError, match=f"No connection to memcached {nobody}"):
        purge("memcached", servers=[server.address, nobody])


def test_ids_and_prefixes_select(server: MemcachedServer) -> None:
    session = "0123456789abcdef0123456789"
    names = [f"{PHP}admin", f"{PHP}lock.admin", f"{PHP}a", f"sf2s{session}", "sf2settings", f"sf2t{session}"]
    fill(server, *names)
    assert run(server, keep_ids=["admin"])["after"] == 1
    assert run(server, prefix="sf2s", id_pattern="[a-z0-9]{26}")["purged"] == 1
    assert left(server, *names) == {f"{PHP}admin", f"{PHP}lock.admin", "sf2settings", f"sf2t{session}"}
    result = run_module("session_purge", {"store": "memcached", "servers": [server.address], "keep_users": ["1"]})
    assert result["error_code"] == "session_purge_cannot_select"


def test_names_that_must_be_quoted_are_nobody_s_sessions(server: MemcachedServer) -> None:
    """A name of any bytes can be given in base64; the listing quotes it as a web address."""
    near = ["a b", "a%20b", "a%2C", "a\r\n", "\0", "é"]
    names = [f"{PHP}{rest}".encode() for rest in near] + [b"memc%2Esess.key.a", b"memc.sess.key%2Ea"]
    with socket.create_connection(("127.0.0.1", server.port)) as connection, connection.makefile("rb") as answers:

        def ask(command: str, name: bytes) -> bytes:
            connection.sendall(f"{command.format(base64.b64encode(name).decode())}\r\n".encode())
            return bytes(answers.readline())

        assert {ask("ms {} 1 b\r\nx", name) for name in names} == {b"HD\r\n"}
        fill(server, f"{PHP}a")
        done = run(server)
        assert (done["purged"], done["ignored"]) == (1, len(near))
        assert {ask("mg {} b", name) for name in names} == {b"HD\r\n"}
        with pytest.raises(LampError, match="cannot be said in the text protocol"):
            run(server, id_pattern="a b")
        assert ask("mg {} b", names[0]) == b"HD\r\n"


def test_a_dedicated_server_is_flushed(server: MemcachedServer) -> None:
    fill(server, *(f"any{number}" for number in range(50)))
    done = run(server, dedicated=True)
    assert (done["changed"], done["purged"] >= 50, done["after"]) == (True, True, 0)
    assert left(server, *(f"any{number}" for number in range(50))) == set()
    assert not run(server, dedicated=True)["changed"]


def test_tls() -> None:
    with TlsMemcachedServer() as secure:
        fill(secure, *NAMES)
        with pytest.raises(LampError, match="CERTIFICATE_VERIFY_FAILED"):
            run(secure, tls=True)
        assert run(secure, ca_cert=str(secure.files["ca"]))["purged"] == 2
        assert left(secure, *NAMES) == STAY


def test_a_login_by_the_servers_file_of_users() -> None:
    with MemcachedServer(users="shop:shop-secret\n") as locked:
        client = locked.client
        assert client.raw_command("set auth 0 0 16\r\nshop shop-secret") == b"STORED"
        assert client.set_many(dict.fromkeys(NAMES, "user|i:1;")) == []
        assert run(locked, login_user="shop", login_password="shop-secret")["purged"] == 2
        assert set(client.get_many(NAMES)) == STAY
        arguments = {"store": "memcached", "servers": [locked.address], "login_user": "shop"}
        result = run_module("session_purge", {**arguments, "login_password": "wrong-secret"})
        assert result["error_code"] == "session_purge_denied"
        assert "wrong-secret" not in result.output


def test_a_server_that_does_not_list_is_an_error() -> None:
    with MemcachedServer("-X") as closed:
        fill(closed, f"{PHP}a")
        with pytest.raises(LampError, match="does not list its keys") as raised:
            run(closed)
        assert raised.value.code == "session_purge_failed"
        assert left(closed, f"{PHP}a") == {f"{PHP}a"}


def test_a_server_with_sasl_is_flushed_for_it_lists_nothing() -> None:
    login = {"login_user": "shop", "login_password": "shop-secret", "sasl": True}
    with SaslMemcachedServer() as locked:
        arguments = {"store": "memcached", "servers": [locked.address], **login}
        assert run_module("session_purge", arguments)["error_code"] == "session_purge_sasl_lists_nothing"
        store = Binary(addresses.parse([locked.address], 0)[0], {**DEFAULTS, **login})
        store.socket.sendall(HEADER.pack(REQUEST, SET, 3, 8, 0, 0, 20, 0, 0) + bytes(8) + b"anyuser|i:1;")
        assert store._answer()[0] == 0
        assert store.ask(GET, b"any")[2].endswith(b"user|i:1;")
        assert run(locked, **login, dedicated=True, check=True)["purged"] == 1
        assert run(locked, **login, dedicated=True)["after"] == 0
        assert store.ask(GET, b"any")[0] == NOT_FOUND
        wrong = run_module("session_purge", {**arguments, "login_password": "wrong-secret", "dedicated": True})
        assert wrong["error_code"] == "session_purge_denied"
        with pytest.raises(LampError) as raised:
            run(locked)
        assert raised.value.code == "session_purge_failed"
