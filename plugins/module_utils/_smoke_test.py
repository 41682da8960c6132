# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the application on one host whether it answers as it should: status, text, a value in JSON, a header."""

from __future__ import annotations

import json
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._http import (
    HEADER_NAME,
    HEADER_VALUE,
    IN_A_REQUEST,
    Answer,
    fetch,
    is_address,
    is_place,
    without_login,
)
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.site import TOKEN

LOCAL = "127.0.0.1"  # where requests go unless told otherwise; the port is that of base_url

OWN_HEADERS = ("host", "connection", "x-lamp-bypass")  # what other options say

# The options of all tests, and those of one, as modules take them.
REQUEST_OPTIONS = {"request_headers": {"type": "dict", "default": {}}}
TEST_OPTIONS = {
    "path": {"type": "str", "required": True},
    "status": {"type": "int", "default": 200},
    "contains": {"type": "str"},
    "absent": {"type": "str"},
    "json": {"type": "dict"},
    "headers": {"type": "dict"},
    "timeout": {"type": "float", "default": 10},
}


def check(params: dict[str, t.Any]) -> None:
    """Refuse what could not be sent, or would be sent as more than it says. :raises LampError: ``smoke_test_bad_…``"""
    if not is_address(params["base_url"]):
        raise LampError(
            "smoke_test_bad_url",
            f"base_url {without_login(params['base_url'])!r} is no address of a web site.",
            "Give it as http://name or https://name:port, without a user.",
        )
    if params["address"] and not is_place(params["address"]):
        raise LampError(
            "smoke_test_bad_address",
            f"address {params['address']!r} is no host and port.",
            "Give it as host, host:port or [IPv6]:port.",
        )
    if params["bypass_token"] and not TOKEN.fullmatch(params["bypass_token"]):
        raise LampError(
            "smoke_test_bad_token",
            "bypass_token is not one that a block can have: 20 to 128 letters and digits.",
            "Give the token that lamp.cluster.maintenance was given.",
        )
    for name, value in params["request_headers"].items():
        if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(str(value)) or name.lower() in OWN_HEADERS:
            raise LampError(
                "smoke_test_bad_header",
                f"The header {name!r} of request_headers cannot be sent.",
                "Give a name of letters, digits and dashes, but not Host, and a value of one line in ASCII.",
            )
    for test in params["tests"]:
        if not test["path"].startswith("/") or not IN_A_REQUEST.fullmatch(test["path"]):
            raise LampError(
                "smoke_test_bad_path",
                f"The path {test['path']!r} cannot be sent.",
                "Begin it with a slash, and write blanks and letters beyond ASCII percent-encoded, such as /a%20page.",
            )


def look_up(document: t.Any, path: str) -> t.Any:
    """The value at a dotted ``path`` (``a.b.0``) of a JSON document; :raises KeyError: where there is none."""
    for step in path.split("."):
        if isinstance(document, list):
            if not step.isdigit() or int(step) >= len(document):
                raise KeyError(path)
            document = document[int(step)]
        elif isinstance(document, dict):
            document = document[step]
        else:
            raise KeyError(path)
    return document


def _json_faults(body: str, wanted: dict[str, t.Any]) -> list[str]:
    try:
        document = json.loads(body)
    except ValueError:
        return ["the body is not JSON"]
    faults = []
    for path, value in wanted.items():
        try:
            found = look_up(document, path)
        except KeyError:
            faults.append(f"JSON has no {path}")
            continue
        if str(found) != str(value):
            faults.append(f"JSON {path} is {found!r} instead of {value!r}")
    return faults


def faults(answer: Answer, test: dict[str, t.Any]) -> list[str]:
    """What is wrong with ``answer``, by the options of ``test``, in words."""
    found = []
    if answer.status != test["status"]:
        found.append(f"status {answer.status} instead of {test['status']}")
    if test.get("contains") and test["contains"] not in answer.body:
        found.append(f"the text {test['contains']!r} is missing")
    if test.get("absent") and test["absent"] in answer.body:
        found.append(f"the text {test['absent']!r} is there")
    for name, value in (test.get("headers") or {}).items():
        if answer.headers.get(name.lower()) != str(value):
            found.append(f"header {name} is {answer.headers.get(name.lower())!r} instead of {value!r}")
    if test.get("json") and not found:
        found.extend(_json_faults(answer.body, test["json"]))
    return found


def headers_of(params: dict[str, t.Any]) -> dict[str, str]:
    """The headers of each request that a module's options ask for."""
    own = {"X-Lamp-Bypass": params["bypass_token"]} if params["bypass_token"] else {}
    return {**{name: str(value) for name, value in params["request_headers"].items()}, **own}


class SmokeTester:
    """Runs tests against one host; each test may be tried again until ``patience`` seconds are over."""

    def __init__(self, address: str, base_url: str, headers: dict[str, str], *, verify: bool, patience: float) -> None:
        self.address = address
        self.base_url = base_url.rstrip("/")
        self.headers = headers
        self.verify = verify
        self.patience = patience

    @classmethod
    def of(cls, params: dict[str, t.Any]) -> SmokeTester:
        """The tester that a module's options ask for."""
        return cls(
            params["address"] or LOCAL,
            params["base_url"],
            headers_of(params),
            verify=bool(params.get("validate_certs")),
            patience=params["patience"],
        )

    def try_once(self, test: dict[str, t.Any]) -> list[str]:
        """The faults of one request; no answer at all is a fault, too."""
        try:
            answer = fetch(
                self.address, self.base_url + test["path"], self.headers, verify=self.verify, timeout=test["timeout"]
            )
        except OSError as error:
            return [f"no answer ({error})"]
        return faults(answer, test)

    def run(self, tests: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
        """Run ``tests`` in their order.

        :raises LampError: ``smoke_test_failed`` at the first that fails, with all results so far in ``tests``
        """
        results = []
        for test in tests:
            started = time.monotonic()
            found = self.try_once(test)
            while found and time.monotonic() - started < self.patience:
                time.sleep(0.1)
                found = self.try_once(test)
            result = {"path": test["path"], "passed": not found, "faults": found}
            results.append({**result, "seconds": round(time.monotonic() - started, 3)})
            if found:
                raise LampError(
                    "smoke_test_failed",
                    f"The smoke test of {self.base_url}{test['path']} at {self.address} failed: {'; '.join(found)}.",
                    "Look at the application's error log on this host.",
                    tests=results,
                )
        return results
