# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before the first deploy ``current`` may lead to code that another tool, or a person, has put there."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.lamp.cluster.plugins.modules.deploy_info import releases
from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.standing import standing

from tests.unit.deploy.test_deploy import FREE, QUIET, back, entry, look, plan


@pytest.mark.parametrize(("target", "name"), [("releases/20260101120000Z", "20260101120000Z"), ("old", "old")])
def test_code_that_others_deployed_is_neither_gone_nor_a_release(tmp_path: Path, target: str, name: str) -> None:
    (tmp_path / "current").symlink_to(target)
    params = {"path": str(tmp_path), "deltas": ""}
    assert not releases(params)["current_whole"]
    (tmp_path / target).mkdir(parents=True)
    found = releases(params)
    assert (Path(found["current"]).name, found["current_whole"], found["releases"]) == (name, True, [])


def test_the_status_says_so_and_goes_on_with_the_first_deploy() -> None:
    told = standing({"w0": look("/srv/shop", releases="", current_whole=True)}, FREE, QUIET, [])
    assert "w0: /srv/shop (which this collection did not deploy), open" in told["lines"]
    assert (told["verdict"], told["next"]) == ("nothing was deployed yet", "ansible-playbook lamp.cluster.deploy")
    told = standing({"w0": look("b"), "w1": look("old", releases="", current_whole=True)}, FREE, QUIET, [])
    assert told["verdict"] == "the web hosts run different releases"


def test_it_can_be_gone_back_to_as_long_as_it_is_live() -> None:
    there, gone = (look("/srv/shop", current_whole=whole) for whole in (True, False))
    both, one = plan(there, there), plan(there, gone)
    assert (both["can_go_back"], both["all_can_go_back"]) == (True, True)
    assert (one["can_go_back"], one["all_can_go_back"]) == (True, False)


def test_a_rollback_of_the_first_deploy_says_how_it_is_gone_back_to_by_hand() -> None:
    begun = {**entry(numbers=[7], deltas_begun=True), "from": {"w0": "/srv/shop"}}
    (refusal,) = back(look("b", owner="deploy", journal=[begun]))["refusals"]
    assert "no release of this collection, but the folder /srv/shop. Finish the deploy; or" in refusal
