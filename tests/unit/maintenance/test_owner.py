# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may take away whose block."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.modules.maintenance import refuse_others

OPERATOR = {"owner": "operator", "token": ""}
DEPLOY = {"owner": "deploy", "token": "abcdefghij0123456789"}
ASKED = {"name": "shop", "owner": "operator", "bypass_token": None}


@pytest.mark.parametrize(
    ("block", "asked"),
    [
        (OPERATOR, {}),
        ({**OPERATOR, "owner": "ann", "token": DEPLOY["token"]}, {}),
        (DEPLOY, {"owner": "deploy", "bypass_token": DEPLOY["token"]}),
    ],
)
def test_a_deploy_takes_away_its_own_block_and_others_those_of_no_deploy(
    block: dict[str, Any], asked: dict[str, Any]
) -> None:
    refuse_others(block, {**ASKED, **asked})


@pytest.mark.parametrize(
    ("block", "asked", "said"),
    [
        (DEPLOY, {}, "A deploy or a rollback has blocked shop"),
        (DEPLOY, {"owner": "ann", "bypass_token": DEPLOY["token"]}, "maintenance_force=true"),
        (DEPLOY, {"owner": "deploy", "bypass_token": DEPLOY["token"][::-1]}, "Another deploy has taken over"),
        (DEPLOY, {"owner": "deploy"}, "Another deploy has taken over"),
        ({**OPERATOR, "token": DEPLOY["token"]}, {**DEPLOY, "bypass_token": DEPLOY["token"]}, "operator has taken"),
    ],
)
def test_anothers_block_stays(block: dict[str, Any], asked: dict[str, Any], said: str) -> None:
    with pytest.raises(LampError) as refused:
        refuse_others(block, {**ASKED, **asked})
    assert (refused.value.code, said in str(refused.value)) == ("maintenance_other_owner", True), refused.value
    assert "lamp.cluster.status" in str(refused.value)
    assert DEPLOY["token"] not in str(refused.value)
