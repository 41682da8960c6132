# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a failure: the task, whatever module it was, and where the site stands."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.deploy.test_recovery import deploy, evaluated, looks


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({"msg": "It broke."}, "w0: It broke."),
        ({}, "w0: A task failed without a message."),
        ({"msg": "rc 1", "stderr": "first\nthe till is shut\n", "stdout": "ok"}, "w0: rc 1: the till is shut."),
        ({"msg": "rc 1", "stdout": ["show", "no such pool\n"]}, "w0: rc 1: no such pool."),  # of network devices
        ({"msg": "rc 1", "stdout": [["a", "b"], {"pool": 1}]}, "w0: rc 1: {'pool': 1}."),
        ({"msg": ["one", "two"], "stderr": 5}, "w0: one two: 5."),
        ({"msg": "items", "results": [{"failed": False}, {"failed": True, "msg": "lb2", "stdout": []}]}, "w0: lb2."),
    ],
)
def test_a_failure_is_told_in_a_line_whatever_a_module_returns(result: dict[str, Any], told: str) -> None:
    failed = {"failed": True, **result}
    host = {"inventory_hostname": "w0", "deploy__run": 1, "ansible_failed_result": failed}
    assert evaluated("deploy__first_failure", {}, hostvars={"w0": host}, deploy__run=1) == told


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ({}, "No host answers that the site is blocked."),
        (looks(owner="deploy"), "The site stays blocked."),
        (looks(), "The site is open."),
    ],
)
def test_what_is_told_of_a_site_that_nothing_was_put_back_on_is_what_its_hosts_answer(seen: Any, told: str) -> None:
    state = {"deploy__recovery": "stay", "deploy__looks": seen, "deploy__not_undone": ""}
    assert evaluated("deploy__where_it_stands", deploy(), **state) == told
