# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages name must be there: options, variables, values, entry points of roles."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.playbook.play import Play
from ansible.playbook.task import Task

from tests.support.modules import BIN, COLLECTIONS, ROOT

PREFIX = "lamp.cluster."
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("roles/*/README.md")])
PAGES = [page for page in PAGES if "_build" not in page.parts and page.name != "CHANGELOG.md"]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
SETTING = re.compile(r"([a-z][a-z_]*)(?:: |=)(\S.*)")
VARIABLE = re.compile(rf"\b(?:{'|'.join(ROLES)}|rollback)_[a-z0-9_]+\b")
# Words of other tools that look like settings or variables of the collection's.
FOREIGN = {
    "ansistrano_deploy_via", "ansistrano_rsync_extra_params", "deploy_to", "release_summary",
    "status_listen", "status_path",
    "drop_sessions",  # of a release's own .lamp.yml
}  # fmt: skip

Options = dict[str, dict[str, Any]]


@cache
def documented() -> dict[str, dict[str, Any]]:
    """What ansible-doc says of each module."""
    command = [str(BIN / "ansible-doc"), "--json", "--type", "module", *(PREFIX + name for name in MODULES)]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return {name.removeprefix(PREFIX): said for name, said in found.items()}


@cache
def role_options() -> dict[str, Options]:
    """The variables of each role, of all its entry points."""
    found = {}
    for role in ROLES:
        specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
        found[role] = {name: option for spec in specs.values() for name, option in spec["options"].items()}
    return found


@cache
def settings() -> dict[str, set[str]]:
    """Every option of modules and roles, with the values of those that know no others."""
    several = [said["doc"]["options"] for said in documented().values()] + list(role_options().values())
    found: dict[str, set[str]] = {}
    free = set()
    for options in several:
        for name, option in options.items():
            found.setdefault(name, set()).update(map(str, option.get("choices", [])))
            if not option.get("choices"):
                free.add(name)
    return {name: set() if name in free else choices for name, choices in found.items()}


@cache
def words() -> set[str]:
    """What may be named beside options: modules, error codes, and what roles and playbooks register or take."""
    code = "".join(path.read_text() for path in [*ROOT.glob("roles/**/*.yml"), *ROOT.glob("playbooks/*.yml")])
    given = re.findall(r"(?:register: |(?<=\s))(\w+)(?=$|:| \| default\()", code, re.MULTILINE)
    errors = "".join(path.read_text() for path in (ROOT / "docs" / "errors").glob("*.md"))
    codes = re.findall(r"^## (\w+)$", errors, re.MULTILINE)
    return {*MODULES, *codes, *given}


def tasks(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping that lies in YAML, plays and blocks included."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from tasks(value)
    elif isinstance(node, list):
        for value in node:
            yield from tasks(value)


def wrong(text: str) -> list[str]:
    """What the tasks in some YAML give to modules that know no such option, and roles that lack an entry point."""
    found = []
    for task in tasks(yaml.safe_load(text)):
        for key, value in task.items():
            name = str(key).removeprefix(PREFIX)
            if str(key).startswith(PREFIX) and isinstance(value, dict):
                known = documented()[name]["doc"]["options"]
                found += [f"{key}: {option}" for option in value if option not in known]
            if isinstance(value, dict) and str(value.get("name", "")).startswith(PREFIX) and "role" in name:
                entry = value.get("tasks_from", "main")
                if not (ROOT / "roles" / value["name"].removeprefix(PREFIX) / "tasks" / f"{entry}.yml").exists():
                    found.append(f"{value['name']}: {entry}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    known = {*settings(), *words(), *FOREIGN}
    assert sorted(word for word in set(VARIABLE.findall(text)) if word not in known) == []
    assert [fault for kind, block in FENCED.findall(text) if kind == "yaml" for fault in wrong(block)] == []
    faults = []
    for span in SPAN.findall(FENCED.sub("", text)):
        setting = SETTING.fullmatch(span)
        if setting and setting[1] == "tasks_from":
            faults += [] if list(ROOT.glob(f"roles/*/tasks/{setting[2]}.yml")) else [span]
        elif setting and setting[1] not in {*FOREIGN, *Play.fattributes, *Task.fattributes}:
            choices = settings().get(setting[1])
            faults += [span] if choices is None or (choices and setting[2].strip("'\"") not in choices) else []
    assert faults == []


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_use_its_options(module: str) -> None:
    assert wrong(documented()[module]["examples"]) == []


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub and the site make them."""
    found = HEADING.findall(FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_somewhere(page: Path) -> None:
    dead = []
    for link in LINK.findall(FENCED.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
            dead.append(link)
    assert dead == []


def test_what_a_deploy_is_quoted_with_it_says() -> None:
    said = [path.read_text() for path in [*ROOT.glob("roles/**/*.yml"), *ROOT.glob("plugins/**/*.py")]]
    code = " ".join("\n".join(said).lower().split())
    page = (ROOT / "docs" / "operating.md").read_text()
    quoted = re.findall(r"(?<!\*)\*(?!\*)([^*\n]+)\*(?!\*)", page.partition("## Going back")[0])
    parts = [part.strip() for quote in quoted for part in re.split(r"…|[.:,](?: |$)|\bweb\d", quote.lower())]
    assert len(parts) > 30
    assert [part for part in parts if part not in code] == []
