# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose place a release takes, by what the hosts told: what those lack of its tags drops sessions, once more or not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.filter.deploy_replaced import FilterModule

from tests.unit.deploy.test_deploy import entry, look, plan

DONE = entry(result="deployed", finished=True)
OF_A = [{"deltas": [1]}]


@pytest.mark.parametrize(
    ("current", "journal", "expected"),
    [
        ("aa", [], OF_A),
        ("bb", [entry("deploy")], []),  # killed after the last switch, when the drop was done
        ("--", [], []),
        ("aac", [], [*OF_A, {"deltas": []}]),  # c is not among the releases
        ("aa", [DONE], OF_A),  # deployed again by other means, or switched by hand
        ("aa", [DONE, entry("rollback", "a")], OF_A),  # cut off wherever it may be
        ("ab", [DONE, entry("rollback", "a", finished=True)], OF_A),  # of a part of the hosts
        ("ab", [DONE], []),  # it was out of the inventory meanwhile
        ("b-", [DONE], []),  # a new one
        ("ab", [entry("deploy")], OF_A),
        ("ab", [DONE, entry("deploy", "a", finished=True, result="deployed")], OF_A),
        ("ab", [entry("deploy", result="failed, put back", finished=True)], OF_A),
    ],
)
def test_a_release_takes_the_place_of_those_that_users_have_sessions_of(
    current: str, journal: list[dict[str, Any]], expected: list[dict[str, Any]]
) -> None:
    told = [{**one, "id": str(number)} for number, one in enumerate(journal)]
    hosts = {f"w{n}": look("" if name == "-" else name, journal=told) for n, name in enumerate(current)}
    replaced = FilterModule().filters()["deploy_replaced"]
    assert replaced(hosts, "b") == expected == plan(*hosts.values())["replaced"]
