# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""haproxy_server against a real HAProxy: who gets the requests, what a drain waits for, what is refused."""

from __future__ import annotations

import http.client
import socket
import socketserver
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._haproxy.runtime import Runtime

from tests.support.modules import ModuleResult, run_module, start_module
from tests.support.servers.base import free_port, wait_until
from tests.support.servers.haproxy import HAProxy


class Application(ThreadingHTTPServer):
    """Answers its own name; /slow waits until it is released; ``healthy`` decides what /health says."""

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.name = name
        self.healthy = True
        self.began = threading.Event()
        self.released = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, *_arguments: Any) -> None:
        """Nothing: a health check may leave before its answer."""


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Application

    def do_GET(self) -> None:
        if self.path == "/slow":
            self.server.began.set()
            assert self.server.released.wait(30)
        status = 500 if self.path == "/health" and not self.server.healthy else 200
        body = self.server.name.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Nothing: the tests read the answers."""


@pytest.fixture()
def applications() -> Iterator[list[Application]]:
    made = [Application(name) for name in ("web1", "web2", "web3")]
    yield made
    for application in made:
        application.released.set()
        application.shutdown()
        application.server_close()


def sections(applications: list[Application]) -> str:
    """Two backends of the same servers: one tied to visitors by a cookie, one not."""
    servers = "".join(f" server {a.name} 127.0.0.1:{a.server_port} cookie {a.name}\n" for a in applications)
    return (
        "frontend http\n bind 127.0.0.1:{port}\n use_backend tied if { path /tied }\n default_backend web\n"
        f"backend web\n balance roundrobin\n option httpchk GET /health\n{servers}"
        f"backend tied\n cookie TIE insert\n option redispatch\n{servers}"
    )


@pytest.fixture()
def haproxy(applications: list[Application]) -> Iterator[HAProxy]:
    with HAProxy(sections(applications), checks=True) as server:
        assert isinstance(server, HAProxy)
        yield server


def change(haproxy: HAProxy, state: str, *, check: bool = False, **options: Any) -> ModuleResult:
    given = {"server": "web1", "state": state, "sockets": [haproxy.socket], **options}
    return run_module("haproxy_server", given, check=check, diff=True)


def answers(haproxy: HAProxy, path: str = "/", count: int = 12, cookie: str = "") -> set[str]:
    """Who answers ``count`` requests."""
    found = set()
    for _ in range(count):
        request = urllib.request.Request(f"http://127.0.0.1:{haproxy.port}{path}", headers={"Cookie": cookie})
        with urllib.request.urlopen(request, timeout=10) as answer:
            found.add(answer.read().decode())
    return found


def test_a_drained_server_gets_no_new_visitor_and_comes_back(haproxy: HAProxy) -> None:
    plan = change(haproxy, "drained", check=True)
    assert answers(haproxy) == {"web1", "web2", "web3"}
    done = change(haproxy, "drained")
    assert (plan["changed"], done["changed"], plan["diff"]) == (True, True, done["diff"])
    assert f"web/web1 at {haproxy.socket}: enabled" in done["diff"]["before"]
    assert (done["drained"], done["in_flight"], done["was_enabled"]) == (True, 0, True)
    assert [(s["backend"], s["previous_state"]) for s in done["servers"]] == [("web", "enabled"), ("tied", "enabled")]
    assert answers(haproxy) == {"web2", "web3"}
    assert answers(haproxy, "/tied", cookie="TIE=web1") == {"web1"}
    assert not change(haproxy, "drained")["changed"]

    assert change(haproxy, "disabled")["changed"]
    assert answers(haproxy, "/tied", 4, cookie="TIE=web1") <= {"web2", "web3"}
    kept = change(haproxy, "drained")  # a server that is out already is not taken half in again
    assert (kept["changed"], kept["servers"][0]["previous_state"], kept["was_enabled"]) == (False, "disabled", False)

    plan = change(haproxy, "enabled", check=True)
    assert answers(haproxy) == {"web2", "web3"}
    done = change(haproxy, "enabled")
    assert (plan["changed"], plan["diff"]) == (True, done["diff"])
    assert not change(haproxy, "enabled")["changed"]
    assert answers(haproxy) == {"web1", "web2", "web3"}


def test_only_the_named_backend_is_changed(haproxy: HAProxy) -> None:
    done = change(haproxy, "drained", backends=["tied"])
    assert [s["backend"] for s in done["servers"]] == ["tied"]
    assert answers(haproxy) == {"web1", "web2", "web3"}
    assert answers(haproxy, "/tied") == {"web2", "web3"}


def test_a_server_that_was_out_in_one_place_stays_out_there(haproxy: HAProxy, applications: list[Application]) -> None:
    with HAProxy(sections(applications)) as second:
        assert isinstance(second, HAProxy)
        both = [haproxy.socket, second.socket]
        change(haproxy, "disabled", backends=["tied"])
        change(second, "drained", backends=["web"])
        out = change(haproxy, "disabled", sockets=both)
        assert (answers(haproxy), answers(second)) == ({"web2", "web3"}, {"web2", "web3"})
        back = change(haproxy, "enabled", sockets=both, previous=out["servers"])
        assert [(s["socket"], s["backend"]) for s in back["servers"]] == [(both[0], "web"), (both[1], "tied")]
        assert (answers(haproxy), answers(haproxy, "/tied")) == ({"web1", "web2", "web3"}, {"web2", "web3"})
        assert (answers(second), answers(second, "/tied")) == ({"web2", "web3"}, {"web1", "web2", "web3"})
        assert not change(haproxy, "enabled", sockets=both, previous=out["servers"])["changed"]


def test_a_drain_waits_for_the_request_that_runs(haproxy: HAProxy, applications: list[Application]) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(answers, haproxy, "/slow", 1, "")
        wait_until(lambda: any(a.began.is_set() for a in applications), "the slow request")
        busy = next(a for a in applications if a.began.is_set())
        early = change(haproxy, "drained", server=busy.name, drain_timeout=0.1)
        assert (early["changed"], early["drained"], early["in_flight"]) == (True, False, 1)
        failed = change(haproxy, "drained", server=busy.name, drain_timeout=0, on_drain_timeout="fail")
        assert (failed["error_code"], failed["in_flight"]) == ("haproxy_not_drained", 1)
        with ThreadPoolExecutor(1) as other:
            waiting = other.submit(change, haproxy, "drained", server=busy.name)
            busy.released.set()
            assert waiting.result()["drained"]
        assert slow.result() == {busy.name}


def test_a_drain_that_was_killed_is_finished_by_the_next_run(haproxy: HAProxy, applications: list[Application]) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(answers, haproxy, "/slow", 1, "")
        wait_until(lambda: any(a.began.is_set() for a in applications), "the slow request")
        busy = next(a for a in applications if a.began.is_set())
        options = {"server": busy.name, "state": "drained", "sockets": [haproxy.socket]}
        killed = start_module("haproxy_server", options)
        wait_until(lambda: busy.name not in answers(haproxy), "the drain")
        assert killed.poll() is None
        killed.kill()
        killed.communicate()
        busy.released.set()
        assert slow.result() == {busy.name}
        done = change(haproxy, "drained", server=busy.name)
        assert (done["changed"], done["drained"]) == (False, True)
        assert change(haproxy, "enabled", server=busy.name)["changed"]
        assert busy.name in answers(haproxy)


def test_an_idle_connection_of_a_visitor_holds_no_drain_up(haproxy: HAProxy) -> None:
    visitor = http.client.HTTPConnection("127.0.0.1", haproxy.port, timeout=10)
    visitor.request("GET", "/")
    busy = visitor.getresponse().read().decode()
    done = change(haproxy, "drained", server=busy)
    assert done["drained"]
    visitor.request("GET", "/")
    assert visitor.getresponse().read().decode() != busy


def test_enabled_means_that_the_health_check_passes(haproxy: HAProxy, applications: list[Application]) -> None:
    change(haproxy, "drained")
    applications[0].healthy = False
    wait_until(lambda: change(haproxy, "enabled", enable_timeout=0).get("error_code"), "a failing health check")
    failed = change(haproxy, "enabled", enable_timeout=0.1)
    assert failed["error_code"] == "haproxy_not_up"
    assert "web/web1" in failed["msg"]
    applications[0].healthy = True
    assert not change(haproxy, "enabled").get("failed")
    assert "web1" in answers(haproxy)


def test_a_server_that_was_disabled_gets_no_request_before_its_health_check_passed(
    haproxy: HAProxy, applications: list[Application]
) -> None:
    change(haproxy, "disabled")
    applications[0].healthy = False
    failed = change(haproxy, "enabled", enable_timeout=0)
    assert failed.get("error_code") == "haproxy_not_up", failed
    assert answers(haproxy) == {"web2", "web3"}
    applications[0].healthy = True
    assert not change(haproxy, "enabled").get("failed")
    assert "web1" in answers(haproxy)


def test_a_server_without_checks_takes_requests_at_once(applications: list[Application]) -> None:
    with HAProxy(sections(applications)) as server:
        assert isinstance(server, HAProxy)
        change(server, "disabled")
        assert not change(server, "enabled", enable_timeout=0).get("failed")
        assert "web1" in answers(server)


def test_the_last_server_stays(haproxy: HAProxy, applications: list[Application]) -> None:
    for application in applications[1:]:
        assert change(haproxy, "drained", server=application.name)["drained"]
    for check in (True, False):
        refused = change(haproxy, "drained", check=check)
        assert (refused["error_code"], "web/web1" in refused["msg"]) == ("haproxy_last_server", True)
        assert [(s["backend"], s["previous_state"]) for s in refused["servers"]] == [
            ("web", "enabled"),
            ("tied", "enabled"),
        ]
    assert answers(haproxy) == {"web1"}
    assert change(haproxy, "drained", min_others=0)["changed"]


def test_several_haproxies_change_together_or_not_at_all(haproxy: HAProxy, applications: list[Application]) -> None:
    with HAProxy(sections(applications[:2])) as second:
        assert isinstance(second, HAProxy)
        both = [haproxy.socket, second.socket]
        refused = change(haproxy, "drained", server="web3", sockets=both)
        assert refused["error_code"] == "haproxy_no_server"
        assert (second.socket in refused["msg"], "web/web1, web/web2" in refused["msg"]) == (True, True)
        assert answers(haproxy) == {"web1", "web2", "web3"}
        done = change(haproxy, "drained", sockets=both, backends=["web"])
        assert [s["socket"] for s in done["servers"]] == both
        assert (answers(haproxy), answers(second)) == ({"web2", "web3"}, {"web2"})


def test_the_runtime_api_may_listen_on_tcp(applications: list[Application]) -> None:
    port = free_port()
    listen = f"global\n stats socket ipv4@127.0.0.1:{port} level admin\n"
    with HAProxy(listen + sections(applications)) as server:
        assert isinstance(server, HAProxy)
        assert change(server, "drained", sockets=[f"127.0.0.1:{port}"])["drained"]
        assert answers(server) == {"web2", "web3"}


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({"server": "web9"}, "haproxy_no_server", "web/web1"),
        ({"backends": ["web", "shop"]}, "haproxy_no_server", "shop/web1"),
        ({"server": "web1; shutdown frontend http"}, "haproxy_bad_name", "web1; shutdown"),
        ({"backends": [""]}, "haproxy_bad_name", "''"),
        ({"sockets": ["/nowhere.sock"]}, "haproxy_unreachable", "/nowhere.sock"),
        ({"sockets": ["localhost"]}, "haproxy_unreachable", "neither a path nor host:port"),
        ({"sockets": ["127.0.0.1:70000"]}, "haproxy_unreachable", "neither a path nor host:port"),
        ({"sockets": []}, "haproxy_unreachable", "No HAProxy"),
    ],
)
def test_what_cannot_be_meant_is_named(haproxy: HAProxy, options: dict[str, Any], code: str, said: str) -> None:
    failed = change(haproxy, "drained", **options)
    assert (failed["error_code"], said in failed["msg"]) == (code, True)


def hang_up(listener: socket.socket) -> None:
    """Take one question, and answer nothing."""
    connection, _address = listener.accept()
    with connection:
        connection.recv(1000)


def test_who_closes_the_connection_without_an_answer_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        pool.submit(hang_up, listener)
        with pytest.raises(LampError) as raised:
            Runtime(f"127.0.0.1:{listener.getsockname()[1]}").table("show stat")
    assert raised.value.code == "haproxy_unreachable"
    assert "nothing came to 'show stat'" in raised.value.message


def test_a_socket_without_rights_is_named(haproxy: HAProxy) -> None:
    failed = change(haproxy, "drained", sockets=[haproxy.socket.replace("admin", "user")])
    assert failed["error_code"] == "haproxy_refused"
    assert "Permission denied" in failed["msg"]
    assert "level admin" in failed["msg"]


class Cutter(socketserver.UnixStreamServer):
    """Passes a command on to HAProxy, and back only the lines of the answer that have no ``lost`` in them."""

    def __init__(self, path: str, runtime: Runtime, lost: str, command: str) -> None:
        super().__init__(path, Cut)
        self.runtime, self.lost, self.command = runtime, lost, command
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class Cut(socketserver.StreamRequestHandler):
    server: Cutter

    def handle(self) -> None:
        command = self.rfile.readline().decode().strip()
        lines = self.server.runtime.ask(command).splitlines(keepends=True)
        if command.startswith(self.server.command):
            lines = [line for line in lines if self.server.lost not in line]
        self.wfile.write("".join(lines).encode())


@pytest.mark.parametrize(
    ("command", "lost"),
    [("show servers", "# be_id"), ("show servers state ", "web1"), ("show stat", ",web1,")],
    ids=["no columns", "a server that went", "a server that is not counted"],
)
def test_less_than_a_whole_answer_is_no_proof(haproxy: HAProxy, tmp_path: Path, command: str, lost: str) -> None:
    with Cutter(str(tmp_path / "cut.sock"), Runtime(haproxy.socket), lost, command) as cutter:
        failed = change(haproxy, "disabled", sockets=[str(tmp_path / "cut.sock")], drain_timeout=0)
        cutter.shutdown()
    assert (failed.get("error_code"), "Traceback" in failed.output) == ("haproxy_cut_off", False), failed
