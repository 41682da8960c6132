# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy does, and says, whose lock another has taken."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.support.modules import ROOT
from tests.unit.deploy.test_recovery import UNTOUCHED, deploy, evaluated


@pytest.mark.parametrize("result", [UNTOUCHED, {"database_changed": True}])
def test_who_lost_the_lock_puts_nothing_back_and_opens_nothing(result: dict[str, Any]) -> None:
    kept = {"error_code": "deploy_lock_lost", "msg": "The lock is held by bob."}
    lost = {"deploy__kept": kept, "dbdeploy_result": result, "deploy_on_failure": "undo"}
    assert evaluated("deploy__safe_recovery", deploy(), **lost) == "lost"
    silent = {**lost, "deploy__kept": {"unreachable": True}}
    assert evaluated("deploy__safe_recovery", deploy(), **silent) != "lost", "no answer is no loss"
    for failure in ("w0: The lock is held by bob.", "w0: it broke."):
        told = {**lost, "deploy__recovery": "lost", "deploy__failure": failure}
        said = f"{failure} {evaluated('deploy__where_it_stands', deploy(), **told)}"
        assert said.count("The lock is held by bob.") == 1
        assert said.endswith("Nothing was put back, and nothing opened.")
    rescue = yaml.safe_load((ROOT / "roles/deploy/tasks/recover.yml").read_text())
    changing = ["Undo the deltas", "Put back what was there", "Have it take requests again"]
    conditions = {task["name"]: task.get("when") for task in rescue}
    known = {"deploy__recovery": "lost", "deploy__leaves_out": True}
    assert [evaluated(conditions[name], deploy(), **known) for name in changing] == [False] * 3
