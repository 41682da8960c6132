# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a block makes of a web server that does not tell its requests, or leads to another port."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._http import Answer
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance import blocker
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.apache import Apache
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.blocker import Blocker
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.site import Site

ROW = (
    "<tr><td><b>{number}-0</b></td><td>1</td><td>0/0/0</td><td><b>{mode}</b>\n</td>"
    "<td>0.1</td><td>{age}</td><td>0</td></tr>"
)


def looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *pages: str) -> Blocker:
    """A block of an Apache whose status page shows ``pages``, one after the other; an empty one times out."""
    site = Site("shop", str(tmp_path))
    apache = Apache(site, [], 8404)
    left = list(pages)

    def status() -> str:
        page = left.pop(0)
        if not page:
            raise apache.no_status("timed out")
        return page

    monkeypatch.setattr(apache, "status", status)
    return Blocker(site, apache, "http://shop.test/", "127.0.0.1", 0)


def test_another_port_is_not_asked_for_at_that_of_the_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(address: str, url: str) -> Answer:
        asked.append((address, url))
        if url.startswith("https"):
            raise ConnectionRefusedError
        return Answer(301, {"location": "https://shop.test/"}, "")

    monkeypatch.setattr(blocker, "fetch", fetch)
    site = Site("shop", str(tmp_path))
    Blocker(site, Apache(site, [], 8404), "http://shop.test/", "[::1]:8080", 0).check_way_on()
    assert asked == [("[::1]:8080", "http://shop.test/"), ("[::1]", "https://shop.test/")]


def test_a_header_alone_does_not_tell_that_the_rules_are_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site("shop", str(tmp_path))
    apache = Apache(site, [], 8404)
    monkeypatch.setattr(apache.rules, "identify", lambda: "1")
    monkeypatch.setattr(blocker, "fetch", lambda *_asked: Answer(404, {"x-lamp-rules": "1"}, ""))  # RewriteEngine Off
    with pytest.raises(LampError) as raised:
        Blocker(site, apache, "http://shop.test/", "127.0.0.1", 0).check_rules()
    assert raised.value.code == "maintenance_not_in_force"


def test_a_redirect_in_front_of_the_rules_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site("shop", str(tmp_path))
    apache = Apache(site, [], 8404)
    monkeypatch.setattr(apache.rules, "identify", lambda: "1")
    onward = {"location": "https://shop.test/login?secret=1"}
    monkeypatch.setattr(blocker, "fetch", lambda *_asked: Answer(301, onward, ""))
    with pytest.raises(LampError, match=r"status 301 to https://shop\.test/, no marker"):
        Blocker(site, apache, "http://shop.test/", "127.0.0.1", 0).check_rules()


def rows(*modes: str) -> str:
    return "".join(ROW.format(number=number, mode=mode, age=9) for number, mode in enumerate(modes))


def test_one_look_that_fails_ends_no_drain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drained = looking(tmp_path, monkeypatch, "", rows("W", "W"), "", rows("W")).drain(10)
    assert (drained["drained"], drained["in_flight"]) == (True, 0)


def test_a_drain_that_cannot_see_says_that_the_site_is_blocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LampError, match=r"^The site is blocked\. .*timed out") as raised:
        looking(tmp_path, monkeypatch, "", "").drain(0)
    assert raised.value.code == "maintenance_no_status"


@pytest.mark.parametrize("page", ["<html><h1>Apache Server Status</h1>", rows("_", "K"), "Shop"])
def test_a_page_without_the_request_that_asks_is_no_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: Any
) -> None:
    with pytest.raises(LampError) as raised:
        looking(tmp_path, monkeypatch, page).backend.in_flight(0)
    assert raised.value.code == "maintenance_no_status"
