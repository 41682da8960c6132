# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths on the controller, as users give them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible_collections.lamp.cluster.plugins.plugin_utils._paths import OWN_PLAYBOOKS, on_controller


def loader_of(folder: Path) -> DataLoader:
    """What Ansible has while it runs a playbook in ``folder``."""
    loader = DataLoader()
    loader.set_basedir(str(folder))
    return loader


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_a_path_is_relative_to_the_playbook(tmp_path: Path) -> None:
    assert on_controller(loader_of(tmp_path), "build/shop") == str(tmp_path / "build/shop")


def test_with_a_playbook_of_the_collection_it_is_relative_to_the_folder_of_the_command(tmp_path: Path) -> None:
    assert (OWN_PLAYBOOKS / "deploy.yml").is_file()
    assert on_controller(loader_of(OWN_PLAYBOOKS), "build/shop") == str(tmp_path / "here/build/shop")


def test_a_home_and_an_absolute_path_are_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert on_controller(loader_of(OWN_PLAYBOOKS), "~/shop") == "/home/me/shop"
    assert on_controller(loader_of(OWN_PLAYBOOKS), "/srv/shop") == "/srv/shop"
