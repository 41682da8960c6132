# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files such as .env: rendered for each host, changed with the switch, never shown."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.integration.release.support import built, release
from tests.support.modules import run_ansible


@pytest.fixture()
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "public").mkdir(parents=True)
    (folder / "public" / "index.php").write_text("<?php")
    (tmp_path / "env.j2").write_text("PASSWORD={{ password }}\nHOST={{ inventory_hostname }}\n")
    return folder


class Site:
    """An application with the template; ``secret`` is what is rendered into it."""

    def __init__(self, tmp_path: Path, **options: Any) -> None:
        self.root = tmp_path / "app"
        self.output = ""
        self.options: dict[str, Any] = {
            "templates": [{"src": str(tmp_path / "env.j2"), "dest": "config/.env", "group": "daemon"}],
            **options,
        }

    def run(self, state: str, secret: str, *options: str, **arguments: Any) -> dict[str, Any]:
        result = release(self.root, state, "-e", f"password={secret}", *options, **self.options, **arguments)
        self.output += json.dumps(result)
        return result

    def both(self, secret: str, *options: str, **arguments: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The results of staging and of switching."""
        staged = self.run("staged", secret, *options, **arguments)
        return staged, self.run("active", secret, *options, **arguments)

    @property
    def file(self) -> Path:
        return self.root / "current" / "config" / ".env"

    def records(self) -> str:
        """All that is remembered about the releases."""
        return "".join(path.read_text() for path in (self.root / "releases" / ".lamp").iterdir())


@pytest.mark.parametrize("shared", [[], ["config"]], ids=["in the release", "in a shared path"])
def test_a_changed_secret_is_deployed_and_shown_nowhere(source: Path, tmp_path: Path, shared: list[str]) -> None:
    site, given = Site(tmp_path, shared_paths=shared), built(source)
    site.both("first-secret", "--diff", **given)
    assert site.file.read_text() == "PASSWORD=first-secret\nHOST=localhost\n"
    status = site.file.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, 0, 1)
    assert site.file.is_relative_to(site.root) and (site.root / "shared" / "config" / ".env").exists() == bool(shared)
    staged, active = site.both("first-secret", "--diff", **given)
    assert (staged["changed"], staged["switch_due"], active["changed"]) == (False, False, False)
    staged = site.run("staged", "second-secret", "--diff", **given)
    assert (staged["changed"], staged["switch_due"], staged["to_render"]) == (False, True, ["config/.env"])
    assert "first-secret" in site.file.read_text()
    plan = site.run("active", "second-secret", "--check", "--diff", **given)
    assert "first-secret" in site.file.read_text()
    done = site.run("active", "second-secret", "--diff", **given)
    assert (plan["changed"], plan["diff"]) == (done["changed"], done["diff"])
    assert "config/.env" in done["diff"]["prepared"]
    assert "second-secret" in site.file.read_text()
    assert not site.run("active", "second-secret", **given)["changed"]
    assert "-secret" not in site.output
    assert "-secret" not in site.records()


def test_the_release_that_is_left_keeps_its_own(source: Path, tmp_path: Path) -> None:
    site, given = Site(tmp_path), built(source)
    site.both("first-secret", **given)
    (source / "public" / "index.php").write_text("<?php 2")
    later = built(source)
    site.both("second-secret", **later)
    assert "second-secret" in site.file.read_text()
    assert "first-secret" in (site.root / "releases" / given["release"] / "config" / ".env").read_text()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"writable_paths": ["config"]}, "release_template_writable"),
        ({"templates": [{"src": "nowhere.j2", "dest": ".env"}]}, "release_bad_template"),
        ({"templates": [{"src": "env.j2", "dest": "../.env"}]}, "release_bad_path"),
        ({"templates": [{"src": "env.j2", "dest": ".env", "mode": "rw"}]}, "release_bad_template"),
        ({"templates": [{"src": "env.j2", "dest": ".env", "group": "nobody-has-it"}]}, "release_unknown_owner"),
        ({"templates": [{"src": "env.j2", "dest": "public"}]}, "release_unsafe_path"),
        (
            {"templates": [{"src": "env.j2", "dest": ".env"}, {"src": "env.j2", "dest": "./.env"}]},
            "release_bad_template",
        ),
    ],
)
def test_templates_that_cannot_be_are_refused_before_anything_is_left(
    source: Path, tmp_path: Path, options: dict[str, Any], code: str
) -> None:
    for template in options.get("templates", []):
        template["src"] = str(tmp_path / template["src"])
    site = Site(tmp_path, **options)
    result = site.run("staged", "the-secret", **built(source))
    assert result["error_code"] == code
    assert (
        [name for name in os.listdir(site.root / "releases") if name != ".lamp"] == [] if site.root.exists() else True
    )
    assert "the-secret" not in site.output


def test_a_template_takes_the_place_of_a_link_in_the_build(source: Path, tmp_path: Path) -> None:
    (source / "config").mkdir()
    (source / "config" / ".env").symlink_to(".env.dev")
    (source / "config" / ".env.dev").write_text("PASSWORD=none")
    site = Site(tmp_path)
    site.both("the-secret", **built(source))
    assert (site.file.is_symlink(), "the-secret" in site.file.read_text()) == (False, True)
    assert (site.file.parent / ".env.dev").read_text() == "PASSWORD=none"


def test_a_template_of_nothing_makes_an_empty_file(source: Path, tmp_path: Path) -> None:
    (tmp_path / "env.j2").write_text("{% if password == 'a' %}Require all denied{% endif %}")
    site = Site(tmp_path)
    assert site.run("staged", "the-secret", **built(source))["changed"]
    (made,) = (site.root / "releases").glob("*/config/.env")
    assert made.read_text() == ""


def test_an_undefined_variable_is_named_and_not_deployed(source: Path, tmp_path: Path) -> None:
    site = Site(tmp_path)
    given = {"path": str(site.root), **site.options, **built(source)}
    result = run_ansible("localhost", "localhost,", "release", given, "-c", "local")
    assert result["error_code"] == "release_bad_template"
    assert "password" in result["msg"]
    assert not site.root.exists()
