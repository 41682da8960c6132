# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By which strategies a deploy may run."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.lamp.cluster.plugins.action.play_hosts import check_strategy
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

from tests.support.modules import ROOT


@pytest.mark.parametrize("strategy", ["free", "host_pinned"])
def test_hosts_that_go_on_by_themselves_are_refused(strategy: str) -> None:
    with pytest.raises(LampError, match="Give the play strategy") as refused:
        check_strategy(strategy)
    assert (refused.value.code, strategy in str(refused.value)) == ("play_hosts_not_in_step", True)


@pytest.mark.parametrize("strategy", ["linear", "debug"])
def test_hosts_that_go_in_step_are_not(strategy: str) -> None:
    check_strategy(strategy)


def test_the_collections_own_playbooks_go_in_step_whatever_the_settings_say() -> None:
    for path in (ROOT / "playbooks").glob("*.yml"):
        (play,) = yaml.safe_load(path.read_text())
        assert play["strategy"] == "ansible.builtin.linear", path.name
