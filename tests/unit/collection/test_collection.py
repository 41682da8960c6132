# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as a whole: what is written in two places must say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.support.modules import ROOT

ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
CODE = re.compile(
    r'"((?:artifact|dbdeploy|deploy_lock|deploy_record|haproxy|maintenance|mysql|play_hosts|release|session_purge|smoke_test|transaction_drain)_[a-z_]+)",\s*f?["\n]'
)


@pytest.mark.parametrize("role", ROLES)
def test_the_defaults_of_a_role_are_those_of_its_argument_spec(role: str) -> None:
    defaults = yaml.safe_load((ROOT / "roles" / role / "defaults" / "main.yml").read_text()) or {}
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    described = {name: spec["default"] for name, spec in specs["main"]["options"].items() if "default" in spec}
    assert described == defaults
    others = [
        (entry, name)
        for entry, spec in specs.items()
        for name, option in spec["options"].items()
        if option.get("default", defaults.get(name)) != defaults.get(name, option.get("default"))
    ]
    assert others == []


@pytest.mark.parametrize("role", ROLES)
def test_every_entry_point_of_a_role_is_described(role: str) -> None:
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    tasks = {path.stem for path in (ROOT / "roles" / role / "tasks").glob("*.yml")}
    assert set(specs) <= tasks
    readme = (ROOT / "roles" / role / "README.md").read_text()
    assert [name for name in specs["main"]["options"] if f"`{name}`" not in readme] == []


def test_every_module_is_in_the_action_group() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    assert runtime["action_groups"]["all"] == MODULES


def code_files() -> list[Path]:
    return [
        path
        for folder in ("modules", "module_utils", "action", "plugin_utils")
        for path in (ROOT / "plugins" / folder).rglob("*.py")
    ]


def test_every_error_code_is_explained_and_no_other() -> None:
    raised = {code for path in code_files() for code in CODE.findall(path.read_text())}
    text = "\n".join(path.read_text() for path in (ROOT / "docs" / "errors").glob("*.md"))
    assert len(raised) > 30
    sections = dict(re.findall(r"^## (\w+)$\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert set(sections) == raised
    unexplained = [code for code, said in sections.items() if not ("*Cause*:" in said and "*Cure*:" in said)]
    assert unexplained == []


def test_every_test_that_the_threat_model_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "threat-model.md").read_text()))
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 10
    assert {name for name in named if f"def {name}(" not in tests} == set()
