# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role: a second run changes nothing, enable and disable go through, and no variable becomes configuration."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.maintenance.conftest import BlockableSite


def role(site: BlockableSite, tasks: str, **variables: Any) -> dict[str, Any]:
    return {
        "ansible.builtin.import_role": {"name": "lamp.cluster.maintenance", "tasks_from": tasks},
        "vars": {**site.variables, **variables},
    }


def ask(site: BlockableSite, status: int) -> dict[str, Any]:
    """A visitor, who must get this status."""
    return {"ansible.builtin.uri": {"url": site.address, "status_code": status, "return_content": True}}


def holds(*conditions: str) -> dict[str, Any]:
    return {"ansible.builtin.assert": {"that": list(conditions)}}


@pytest.mark.parametrize(
    ("site", "balancers"),
    [("apache", []), ("nginx", []), ("haproxy", ["localhost"])],
    indirect=["site"],
)
def test_the_role_blocks_and_opens_and_a_second_run_changes_nothing(site: BlockableSite, balancers: list[str]) -> None:
    where: dict[str, Any] = {"maintenance_balancers": balancers}
    code, output = site.play(
        [
            role(site, "main", **where),
            role(site, "enable", **where, maintenance_message="By the role", maintenance_owner="deploy"),
            holds("maintenance_result.changed", "maintenance_result.marker_seen", "maintenance_result.drained"),
            {**ask(site, 503), "register": "page"},
            holds("'By the role' in page.content"),
            role(site, "status", **where),
            holds("maintenance_status.blocked", "maintenance_status.owner == 'deploy'"),
            role(site, "disable", **where),
            holds("maintenance_result.previous_owner == 'deploy'", "maintenance_result.blocked_seconds > 0"),
            ask(site, 200),
            role(site, "disable", **where),
            holds("not maintenance_result.changed"),
        ]
    )
    assert code == 0, output
    assert "changed=2 " in output, output  # the preparation had been made, and one block was set and taken away


@pytest.mark.parametrize("site", ["nginx"], indirect=True)
def test_no_variable_becomes_configuration(site: BlockableSite) -> None:
    evil: tuple[dict[str, Any], ...] = (
        {"maintenance_name": "shop; }"},
        {"maintenance_name": "shop\n"},
        {"maintenance_allow": ["10.0.0.0/8", "10.0.0.0/8 1; } server {"]},
        {"maintenance_allow": ["0.0.0.0/0' || -R '::/0"]},
        {"maintenance_trusted_proxies": ["10.0.0.1\nX"]},
        {"maintenance_health_paths": ['/health.php" 1; }']},
        {"maintenance_health_paths": ["/health.php } or { always_true"]},
        {"maintenance_state_dir": "/srv/$x"},
        {"maintenance_fpm_pool": "www]\nuser = root"},
        {"maintenance_haproxy_frontends": ["http\nbackend x"]},
    )
    before = site.rules.read_bytes()
    tasks: list[dict[str, Any]] = [
        {
            "block": [role(site, "main", **variables)],
            "rescue": [{"ansible.builtin.debug": {"msg": "REFUSED"}}],
        }
        for variables in evil
    ]
    code, output = site.play(tasks)
    assert code == 0, output
    assert output.count("REFUSED") == len(evil), output
    assert site.rules.read_bytes() == before
