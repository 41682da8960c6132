# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""release with smoke tests: they ask the release that is live by then, in the same call."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.modules import ModuleResult, run_module


@pytest.fixture()
def root(tmp_path: Path) -> Path:
    """An application with the staged releases a and b; a is live."""
    records = tmp_path / "releases" / ".lamp"
    records.mkdir(parents=True)
    for name in "ab":
        (tmp_path / "releases" / name).mkdir()
        (tmp_path / "releases" / name / "page.json").write_text(json.dumps({"release": name}))
        (records / f"{name}.json").write_text(json.dumps({"staged_at": "2026-11-21"}))
    (tmp_path / "current").symlink_to("releases/a")
    return tmp_path


@pytest.fixture()
def url(root: Path) -> Iterator[str]:
    """A web server whose document root is ``current``."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(root / "current"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def activate(root: Path, url: str, wanted: str, *, check: bool = False) -> ModuleResult:
    tests = [{"path": "/page.json", "json": {"release": wanted}}]
    options = {"path": str(root), "state": "active", "release": "b", "url": url, "tests": tests}
    return run_module("release", options, check=check)


def test_the_release_is_tested_once_it_is_live(root: Path, url: str) -> None:
    plan = activate(root, url, "b", check=True)
    assert (plan["changed"], plan.get("tests")) == (True, None)
    done = activate(root, url, "b")
    assert (done["changed"], done["current"], [test["passed"] for test in done["tests"]]) == (True, "b", [True])
    assert not activate(root, url, "b")["changed"]


def test_a_test_that_fails_fails_the_module(root: Path, url: str) -> None:
    result = activate(root, url, "c")
    assert (result["failed"], result["error_code"]) == (True, "smoke_test_failed")
    assert (root / "current").readlink() == Path("releases/b")
