# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that a run replaced in front of users are there again when it is put back; none of an older run ever is."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.integration.release.support import built, on_host


def rendered(secret: str, *more: str, mode: str = "0640") -> str:
    """Templates as the controller hands them on."""
    content = base64.b64encode(secret.encode()).decode()
    return json.dumps(
        [
            {"dest": dest, "content": content, "mode": mode, "owner": "", "group": "daemon"}
            for dest in ("config/.env", *more)
        ]
    )


class Site:
    """An application that was deployed with the settings ``first``."""

    def __init__(self, source: Path, root: Path, shared: list[str]) -> None:
        self.root = root
        self.shared: dict[str, Any] = {"shared_paths": shared}
        self.given = built(source)
        self.released = self.given["release"]
        on_host(root, "staged", rendered=rendered("first"), **self.shared, **self.given)
        self.active(rendered=rendered("first"))

    def active(self, release: str = "", **arguments: Any) -> dict[str, Any]:
        done = on_host(self.root, "active", release=release or self.released, **self.shared, **arguments)
        assert "error_code" not in done, done
        return done

    def put_back(self, run: str) -> dict[str, Any]:
        return self.active(run=run, restore=True)

    @property
    def settings(self) -> str:
        return (self.root / "current" / "config" / ".env").read_text()

    @property
    def record(self) -> Path:
        return self.root / "releases" / ".lamp" / ".replaced.json"


@pytest.fixture(params=[[], ["config"]], ids=["in the release", "in a shared path"])
def site(request: pytest.FixtureRequest, source: Path, tmp_path: Path) -> Site:
    return Site(source, tmp_path / "app", request.param)


def test_what_a_switch_replaced_is_put_back_as_it_was(site: Site) -> None:
    file = site.root / "current" / "config" / ".env"
    before = file.stat()
    done = site.active(rendered=rendered("second", "config/more", mode="0600"), run="1")
    assert [Path(kept).name for kept in done["kept"]] == [".env", "more"]
    assert (site.settings, stat.S_IMODE(site.record.stat().st_mode)) == ("second", 0o600)
    plan = on_host(site.root, "active", release=site.released, run="1", restore=True, check=True, **site.shared)
    assert (plan["changed"], site.settings) == (True, "second")
    back = site.put_back("1")
    now = file.stat()
    assert (site.settings, now.st_mode, now.st_gid) == ("first", before.st_mode, before.st_gid)
    assert not (file.parent / "more").exists(), "it was not there before"
    assert (back["changed"], back["kept"]) == (True, done["kept"]), "it may be cut off, and done again"
    assert not site.put_back("1")["changed"]
    assert base64.b64encode(b"second").decode() not in json.dumps([done, plan, back])
    assert [on_host(site.root, "settled", run="1")["changed"] for _time in range(2)] == [True, False]
    assert not site.record.exists()


def test_what_was_there_before_the_first_of_runs_that_continue_each_other_counts(site: Site) -> None:
    for secret in ("second", "third"):
        site.active(rendered=rendered(secret), run="1")
    site.put_back("1")
    assert site.settings == "first"


def test_nothing_of_a_run_that_has_ended_is_put_back_in_a_later_one(site: Site) -> None:
    site.active(rendered=rendered("second"), run="1")  # its controller died before it could forget
    assert not site.put_back("2")["changed"], "of a run that replaced nothing"
    site.active(rendered=rendered("third"), run="3")
    site.put_back("3")
    assert site.settings == "second"


def test_a_host_that_had_no_release_has_its_shared_settings_back(source: Path, tmp_path: Path) -> None:
    site = Site(source, tmp_path / "app", ["config"])
    site.active(rendered=rendered("second"), run="1")
    assert on_host(site.root, "inactive", run="1", restore=True, **site.shared)["current"] == ""
    assert (site.root / "shared" / "config" / ".env").read_text() == "first"
