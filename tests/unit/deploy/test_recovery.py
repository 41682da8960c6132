# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy that failed does about it, by the variables of the role, as its tasks evaluate them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.plan import deploy_plan, rollback_plan

from tests.support.modules import ROOT

BEGUN = {"id": "2026", "by": "ann", "finished": False, "from": {"w0": "a"}, "deltas_begun": True}
DEPLOY, ROLLBACK = (
    {**BEGUN, "kind": "deploy", "release": "b", "numbers": [10]},
    {**BEGUN, "kind": "rollback", "release": "a", "left": "b"},
)
UNTOUCHED = {"skipped": True}


def looks(*, owner: str = "", journal: tuple[dict[str, Any], ...] = ()) -> dict[str, dict[str, Any]]:
    """Of one host, on which the release a is live and b is there."""
    releases = [{"release": name, "rejected": "", "deltas": []} for name in "ab"]
    block = {"owner": owner, "since": 0.0} if owner else {}
    host = {"current": "a", "previous": "b", "releases": releases, "block": block, "journal": list(journal)}
    return {"w0": {**host, "problems": []}}


def deploy(**given: Any) -> dict[str, Any]:
    return deploy_plan(looks(**given), "now", "b", ["w0"], [{"name": "11.sql", "number": 11}], False, "auto", [])


def evaluated(name: str, plan: dict[str, Any], **variables: Any) -> Any:
    """A variable of the role, when a run with this plan failed before it touched the database."""
    loader = DataLoader()
    known = loader.load_from_file(str(ROOT / "roles/deploy/vars/main.yml"), trusted_as_template=True)
    state = {
        "ansible_play_hosts_all": ["w0"], "hostvars": {"w0": {}}, "deploy_on_failure": "stay", "deploy__plan": plan,
        "dbdeploy_result": UNTOUCHED, "dbdeploy_undone": UNTOUCHED, "dbdeploy_acknowledged": UNTOUCHED, **variables,
    }  # fmt: skip
    return Templar(loader, {**known, **state}).template(trust_as_template(f"{{{{ {name} }}}}"))


@pytest.mark.parametrize(
    ("plan", "recovery"),
    [
        (deploy(), "put_back"),
        (deploy(owner="deploy"), "stay"),
        (deploy(owner="operator"), "stay"),
        (deploy(owner="operator", journal=(DEPLOY,)), "stay"),
        (deploy(journal=(DEPLOY,)), "stay"),
        (deploy(journal=({**DEPLOY, "finished": True},)), "put_back"),
        (deploy(journal=({**DEPLOY, "deltas_begun": False},)), "put_back"),
        (deploy(journal=(ROLLBACK,)), "stay"),
        (rollback_plan(looks(), "now"), "put_back"),
        (rollback_plan(looks(journal=(DEPLOY,)), "now", "a"), "stay"),
        (rollback_plan(looks(owner="operator"), "now"), "stay"),
    ],
)
def test_the_site_is_opened_only_on_what_was_open_and_whole_before(plan: dict[str, Any], recovery: str) -> None:
    assert evaluated("deploy__safe_recovery", plan) == recovery


def test_a_deploy_after_a_rollback_that_was_cut_off_while_it_undid_is_not_undone() -> None:
    plan = deploy(owner="deploy", journal=({**ROLLBACK, "undo": True},))
    assert "A rollback that undid deltas was cut off" in evaluated("deploy__undo_refusal", plan)
    plan = deploy(owner="deploy", journal=(ROLLBACK,))
    silent = {"deploy__looks": {}, "dbdeploy_plan": {"msg": "It is away."}}
    assert evaluated("deploy__undo_refusal", plan, **silent) == "It is away."


@pytest.mark.parametrize(
    ("plan", "recovery", "begun"),
    [
        (deploy(), "", True),
        (deploy(), "stay", True),
        (deploy(), "put_back", False),
        (deploy(), "undo", False),
        (deploy_plan(looks(), "now", "b", ["w0"], [], False, "auto", []), "", False),
        (rollback_plan(looks(journal=(DEPLOY,)), "now", "a"), "stay", True),
        (rollback_plan(looks(), "now", "a", undo=True), "", True),
    ],
)
def test_an_entry_says_whether_the_database_may_be_between_two_releases(
    plan: dict[str, Any], recovery: str, begun: bool
) -> None:
    assert evaluated("deploy__entry.deltas_begun", plan, deploy__recovery=recovery) is begun


CUT = {**BEGUN, "kind": "deploy", "release": "b", "mode": "rolling"}


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (deploy(journal=(CUT,)), True),
        (deploy(journal=({**CUT, "mode": "window", "rejoin": True},)), True),
        (rollback_plan(looks(journal=(CUT,)), "now"), True),
        (rollback_plan(looks(journal=({**CUT, "mode": "window", "rejoin": True},)), "now"), True),
        (deploy(), False),
        (rollback_plan(looks(), "now"), False),
    ],
)
def test_what_a_cut_off_rolling_deploy_left_out_takes_requests_again_also_when_the_next_run_fails(
    plan: dict[str, Any], expected: bool
) -> None:
    assert plan["mode"] == "window"
    rescue = yaml.safe_load((ROOT / "roles/deploy/tasks/recover.yml").read_text())
    (condition,) = (task["when"] for task in rescue if task["name"] == "Have it take requests again")
    assert evaluated(condition, plan) is expected
    assert evaluated("deploy__entry.rejoin", plan, deploy__recovery="stay") is expected, "a third run would not know"
    lost = {"w0": {"inventory_hostname": "w0", "deploy__balanced": {"unreachable": True}}}
    assert evaluated("deploy__not_rejoined", plan, hostvars=lost) == (["w0"] if expected else [])
