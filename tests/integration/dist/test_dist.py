# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball: what is in it, that Galaxy takes it, and that it works where nothing else lies beside it."""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.support.dist import build, install, tool
from tests.support.modules import ROOT

PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
AT_THE_TOP = {
    *("MANIFEST.json", "FILES.json", "README.md", "LICENSE", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "REUSE.toml"),
    *("LICENSES", "changelogs", "docs", "meta", "playbooks", "plugins", "roles"),
}


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collections path with the collection, in the four folders that must be enough."""
    folder = tmp_path_factory.mktemp("installed")
    install(tarball, folder)
    return folder


def test_the_tarball_is_small_and_holds_what_users_need_and_nothing_else(tarball: Path) -> None:
    assert tarball.stat().st_size < 1_000_000
    with tarfile.open(tarball) as archive:
        names = [member.name for member in archive.getmembers()]
        manifest = json.load(archive.extractfile("MANIFEST.json") or sys.stdin)
    assert {name.split("/")[0] for name in names} == AT_THE_TOP
    assert [name for name in names if name.endswith((".pyc", ".orig", ".rej", "~")) or "__pycache__" in name] == []
    assert manifest["collection_info"]["version"] == yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    # An allow-list forgets silently: all that git tracks in the four folders must be there.
    folders = ("meta", "playbooks", "plugins", "roles")
    wanted = {str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*")}
    assert sorted(name for name in wanted if "__pycache__" not in name and name not in names) == []


def test_galaxy_takes_it_without_a_warning(tarball: Path, tmp_path: Path) -> None:
    settings = tmp_path / "galaxy-importer.cfg"
    settings.write_text(
        "[galaxy-importer]\nrequire_v1_or_greater = True\ncheck_required_tags = True\n"
        "run_ansible_lint = False\n"  # `make lint` runs it, with the production profile
    )
    arguments = ("-m", "galaxy_importer.main", str(tarball), "--output-path", str(tmp_path))
    said = tool("python", *arguments, cwd=tmp_path, env={"GALAXY_IMPORTER_CONFIG": str(settings)})
    assert "Importer processing completed successfully" in said
    assert [line for line in said.splitlines() if line.startswith(("WARNING", "ERROR"))] == []


def test_an_execution_environment_gets_what_the_collection_needs(installed: Path) -> None:
    said = tool("ansible-builder", "introspect", str(installed))
    found = yaml.safe_load(said.partition("# Dependency data for")[2].partition("\n")[2])
    named = (ROOT / "meta" / "ee-requirements.txt").read_text().split()
    assert [line.partition(" ")[0] for line in found["python"]] == named
    assert "PyMySQL>=1.0.2" in named


def test_every_playbook_and_module_is_found_where_nothing_but_the_tarball_is(installed: Path, tmp_path: Path) -> None:
    alone = {"ANSIBLE_COLLECTIONS_PATH": str(installed), "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false"}
    inventory = tmp_path / "inventory.yml"
    inventory.write_text("web: {hosts: {localhost: {ansible_connection: local}}}\n")
    playbooks = [f"lamp.cluster.{name}" for name in PLAYBOOKS]
    said = tool("ansible-playbook", "-i", str(inventory), "--syntax-check", *playbooks, env=alone)
    assert said.count("playbook: ") == len(PLAYBOOKS) > 4
    listed = json.loads(tool("ansible-doc", "-t", "module", "--json", "-l", "lamp.cluster", env=alone))
    assert sorted(listed) == sorted(f"lamp.cluster.{path.stem}" for path in (ROOT / "plugins" / "modules").glob("*.py"))
