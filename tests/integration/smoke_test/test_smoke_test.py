# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""smoke_test against a real HTTP server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.modules import run_module
from tests.support.servers.base import free_port

TOKEN = "abcdefghij0123456789secret"


class Application(BaseHTTPRequestHandler):
    """Answers JSON on /health, 503 on / without the bypass token, and warms up: /slow is 500 twice.

    /cut breaks off in its body, /drip sends it byte by byte.
    """

    slow_answers = 0
    over = threading.Event()

    def do_GET(self) -> None:
        status, body = 404, "nothing here"
        if self.path == "/health":
            status, body = 200, json.dumps({"release": "abc", "host": self.headers["Host"], "list": [{"a": 1}]})
        elif self.path == "/" and self.headers.get("X-Lamp-Bypass") == TOKEN:
            status, body = 200, "Welcome"
        elif self.path == "/":
            status, body = 503, "maintenance"
        elif self.path == "/secure":
            status, body = (200, "Cart") if self.headers.get("X-Forwarded-Proto") == "https" else (301, "")
        elif self.path == "/slow":
            type(self).slow_answers += 1
            status, body = (200, "warm") if self.slow_answers > 2 else (500, "cold")
        elif self.path in ("/cut", "/drip"):
            status, body = 200, "Welcome" if self.path == "/cut" else ""
        self.send_response(status)
        self.send_header("X-Release", "abc")
        if self.path == "/cut":
            self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(body.encode())
        if self.path == "/drip":
            for _byte in range(100):
                self.wfile.write(b".")
                self.over.wait(0.1)

    def log_message(self, *_arguments: Any) -> None:
        """Nothing: the tests read the module's answer."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    Application.over.set()
    server.shutdown()


def smoke(port: int, *tests: dict[str, Any], **options: Any) -> dict[str, Any]:
    arguments = {"base_url": "http://shop.example.com", "address": f"127.0.0.1:{port}", "tests": list(tests)}
    return run_module("smoke_test", {**arguments, **options})


def test_each_request_carries_the_headers_that_are_given(port: int) -> None:
    tests = {"path": "/secure", "contains": "Cart"}, {"path": "/", "contains": "Welcome"}
    carried = {"bypass_token": TOKEN, "request_headers": {"X-Forwarded-Proto": "https"}}
    assert [test["passed"] for test in smoke(port, *tests, **carried)["tests"]] == [True, True]
    assert "status 301" in smoke(port, *tests, bypass_token=TOKEN)["msg"]


def test_all_kinds_of_expectation_pass(port: int) -> None:
    result = smoke(
        port,
        {"path": "/health", "json": {"release": "abc", "host": "shop.example.com", "list.0.a": 1}},
        {"path": "/", "contains": "Welcome", "absent": "maintenance", "headers": {"x-release": "abc"}},
        {"path": "/none", "status": 404},
        bypass_token=TOKEN,
    )
    assert not result.get("failed"), result
    assert not result["changed"]
    assert [test["passed"] for test in result["tests"]] == [True, True, True]


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ({"path": "/"}, "status 503 instead of 200"),
        ({"path": "/health", "contains": "Hello"}, "the text 'Hello' is missing"),
        ({"path": "/health", "absent": "abc"}, "the text 'abc' is there"),
        ({"path": "/health", "json": {"release": "abd"}}, "JSON release is 'abc' instead of 'abd'"),
        ({"path": "/health", "json": {"list.1.a": 1}}, "JSON has no list.1.a"),
        ({"path": "/none", "status": 404, "json": {"a": 1}}, "the body is not JSON"),
        ({"path": "/health", "headers": {"X-Release": "z"}}, "header X-Release is 'abc' instead of 'z'"),
    ],
)
def test_a_failure_says_what_was_found_instead(port: int, test: dict[str, Any], said: str) -> None:
    result = smoke(port, {"path": "/health"}, test)
    assert result["error_code"] == "smoke_test_failed"
    assert said in result["msg"]
    assert test["path"] in result["msg"]
    assert [test["passed"] for test in result["tests"]] == [True, False]


def test_the_token_is_never_shown(port: int) -> None:
    result = run_module(
        "smoke_test",
        {
            "base_url": "http://shop",
            "address": f"127.0.0.1:{port}",
            "bypass_token": TOKEN,
            "tests": [{"path": "/none"}],
        },
    )
    assert result["failed"]
    assert TOKEN not in result.output


def test_patience_waits_for_an_application_that_warms_up(port: int) -> None:
    assert smoke(port, {"path": "/slow"}, patience=30)["tests"][0]["passed"]


def test_no_answer_and_a_bad_address_are_named(port: int) -> None:
    dead = free_port()
    assert f"127.0.0.1:{dead} failed: no answer" in smoke(dead, {"path": "/"})["msg"]
    assert "web1..example.com or" in smoke(port, {"path": "/"}, address="web1..example.com")["msg"]


@pytest.mark.parametrize(
    ("path", "said"), [("/cut", "cut off, 993 bytes are missing"), ("/drip", "no answer"), ("/drip", "timed out")]
)
def test_an_answer_that_does_not_come_whole_in_time_is_none(port: int, path: str, said: str) -> None:
    result = smoke(port, {"path": path, "absent": "error", "timeout": 0.5})
    assert (result["error_code"], said in result["msg"]) == ("smoke_test_failed", True), result["msg"]


@pytest.mark.parametrize(
    ("path", "options", "code"),
    [
        ("/", {"base_url": "shop.example.com", "address": None}, "smoke_test_bad_url"),
        ("/", {"base_url": "http://shop.example.com\r\nX-Evil: 1"}, "smoke_test_bad_url"),
        ("/", {"base_url": "http://user:word@shop.example.com"}, "smoke_test_bad_url"),
        ("/", {"address": "127.0.0.1:70000"}, "smoke_test_bad_address"),
        ("/", {"address": "[::1::]"}, "smoke_test_bad_address"),
        ("/", {"address": "127.0.0.1\r\nX-Evil: 1"}, "smoke_test_bad_address"),
        ("health", {}, "smoke_test_bad_path"),
        ("/a page", {}, "smoke_test_bad_path"),
        ("/", {"request_headers": {"host": "shop.example.com"}}, "smoke_test_bad_header"),
        ("/", {"bypass_token": "short"}, "smoke_test_bad_token"),
    ],
)
def test_what_cannot_be_sent_is_refused(port: int, path: str, options: dict[str, Any], code: str) -> None:
    failed = smoke(port, {"path": path}, **options)
    assert failed["error_code"] == code
    assert "user:word" not in failed["msg"]
