# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deploy that died on another controller holds the lock still: the status names the whole command that goes on."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.standing import standing

from tests.unit.deploy.test_deploy import QUIET, entry, look

HELD = {"error_code": "deploy_lock_held", "holder": {"user": "ann", "controller": "deploy2"}}
DEPLOY = "ansible-playbook lamp.cluster.deploy -e deploy_force_lock=true"
BACK = "ansible-playbook lamp.cluster.rollback -e deploy_force_lock=true"


@pytest.mark.parametrize(
    ("journal", "command"),
    [
        ([], DEPLOY),
        ([entry(source="/srv/shop")], f"{DEPLOY} -e deploy_source=/srv/shop   (or back: {BACK})"),
        ([entry("rollback", "a", undo=True)], f"{BACK} -e rollback_release=a -e rollback_undo=true"),
    ],
)
def test_the_command_that_goes_on_takes_the_lock(journal: list[Any], command: str) -> None:
    told = standing({"w0": look(owner="deploy", journal=journal)}, HELD, QUIET, [])
    assert (told["verdict"], told["next"]) == (
        "a deploy is running",
        f"wait for it; if it is surely dead: {command}",
    )
