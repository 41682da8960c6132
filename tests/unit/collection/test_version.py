# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The version: galaxy.yml, the changelog and what says since when it is there must agree."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tests.support.modules import ROOT

Version = tuple[int, ...]


def number(version: str) -> Version:
    assert re.fullmatch(r"\d+\.\d+\.\d+", version), f"{version} is no release of semantic versioning"
    return tuple(map(int, version.split(".")))


def load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def released() -> dict[Version, dict[str, Any]]:
    return {number(version): release for version, release in load("changelogs/changelog.yaml")["releases"].items()}


def plugins() -> dict[tuple[str, str], Version]:
    """Since when each plugin is there, by its kind and name."""
    found = {}
    for kind in ("modules", "callback", "filter"):
        for path in (ROOT / "plugins" / kind).glob("*.py"):
            since = re.search(r"^version_added: (\S+)$", path.read_text(), re.MULTILINE)
            assert since, path
            found[kind, path.stem] = number(since[1])
    return found


def roles() -> dict[tuple[str, str], Version]:
    """The same of roles."""
    found = {}
    for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        main = yaml.safe_load(path.read_text())["argument_specs"]["main"]
        found["role", path.parents[1].name] = number(main["version_added"])
    return found


def told(release: dict[str, Any]) -> set[tuple[str, str]]:
    """What the changelog tells of a release as new."""
    several = {"modules": release.get("modules", []), **release.get("plugins", {}), **release.get("objects", {})}
    return {(kind, each["name"]) for kind, those in several.items() for each in those}


def fragments() -> list[Path]:
    return list((ROOT / "changelogs" / "fragments").glob("*.y*ml"))


def test_the_version_is_the_newest_that_the_changelog_has_or_one_in_the_making() -> None:
    version = number(load("galaxy.yml")["version"])
    assert version == max(released()) or (fragments() and version > max(released()))


def test_every_release_has_notes() -> None:
    assert [version for version, release in released().items() if "release_summary" not in release["changes"]] == []


def test_nothing_is_there_since_a_version_that_never_was() -> None:
    known = {*released(), number(load("galaxy.yml")["version"])}
    assert {what: since for what, since in {**plugins(), **roles()}.items() if since not in known} == {}


def test_the_changelog_tells_what_is_new_in_the_release_that_brought_it() -> None:
    playbooks = {("playbook", path.stem) for path in (ROOT / "playbooks").glob("*.yml")}
    everything = {**plugins(), **roles()}
    assert {name for release in released().values() for name in told(release)} >= playbooks
    for version, release in released().items():
        assert told(release) - playbooks == {what for what, since in everything.items() if since == version}
