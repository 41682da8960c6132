# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two inventories with two first hosts have two locks of one application."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.plan import rollback_plan, told
from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.standing import standing

from tests.unit.deploy.test_deploy import FREE, QUIET, look

OWN = {"user": "me", "controller": "deploy1", "pid": 5, "since": "now"}
MINE = {"by": "me on deploy1 (process 5) since now", "file": "/locks/shop.json"}
ANNS = {"by": "ann on deploy2 (process 7) since today", "file": "/locks/shop.json"}


def refused(*locks: dict[str, str]) -> list[str]:
    looks = {f"w{number}": look("b", previous="a", lock=lock) for number, lock in enumerate(locks)}
    refusals: list[str] = told(rollback_plan)(looks, ident="now", lock={"holder": OWN}, lock_host="w0")["refusals"]
    return refusals


def test_a_lock_of_another_run_on_another_host_is_a_refusal() -> None:
    assert refused(MINE, {}) == refused(MINE, MINE) == []
    assert refused(MINE, {}, ANNS) == [
        "Another lock of this application is held, on w2 by ann on deploy2 (process 7) since today. Wait for that"
        " deploy, and give all deploys the same deploy_lock_host; if it is surely dead, remove /locks/shop.json on w2."
    ]


@pytest.mark.parametrize(
    ("lock", "there", "verdict"),
    [
        (FREE, {"w1": ANNS}, "another deploy keeps its lock elsewhere"),
        ({"unreachable": True}, {"w1": ANNS}, "another deploy keeps its lock elsewhere"),
        ({"stale_taken": "ann"}, {"w0": ANNS}, "all is well"),  # the one that was asked for
        ({"error_code": "deploy_lock_held", "holder": OWN}, {"w0": MINE}, "a deploy is running"),
    ],
)
def test_the_status_names_it(lock: dict[str, Any], there: dict[str, Any], verdict: str) -> None:
    looks = {host: look(lock=there.get(host, {})) for host in ("w0", "w1")}
    said = standing(looks, lock, QUIET, [], lock_host="w0")
    assert said["verdict"] == verdict
    assert ("Lock: another one, on w1, held by ann on deploy2 (process 7) since today" in said["lines"]) == (
        "w1" in there
    )
