# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A delta that is applied or undone half way: what it keeps from, and the ways out that are named."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.standing import standing

from tests.unit.deploy.test_deploy import FREE, QUIET, back, entry, look, plan
from tests.unit.deploy.test_recovery import RESUME, deploy, evaluated

UNDO = "-e rollback_undo=true"
WITHOUT_A_LOOK = "Only where a works with the database as it is: -e deploy_deltas= goes back without a look at it."


def half(direction: str, number: int = 2, *, unknown: bool = False) -> dict[str, Any]:
    """What dbdeploy answers where this delta was begun; the release a has 1, and b has 2 as well."""
    return {**QUIET, "unfinished": [{"number": number, "direction": direction, "unknown": unknown}]}


APPLIED, UNDONE = half("do"), half("undo")


@pytest.mark.parametrize(
    ("database", "undo", "said"),
    [
        ({}, False, ""),
        ({**QUIET, "unfinished": []}, False, ""),
        ({**QUIET, "unfinished": []}, True, ""),
        (APPLIED, False, "Delta 2 is applied half way. Mend what stopped it and deploy b again, which finishes it."),
        (APPLIED, True, "Delta 2 is applied half way. Its undo part undoes a whole one. Mend what"),
        (UNDONE, False, f"Delta 2 is undone half way. Finish that with {UNDO}."),
        (UNDONE, True, ""),
        (half("undo", 1), True, "Finish that with lamp.cluster.dbdeploy (state=undone, to=0), then deploy."),
        (half("do", 1), True, "Delta 1 is applied half way. Its undo part undoes a whole one."),
        (half("do", unknown=True), False, "half way, and of one statement nobody knows whether it took effect. Mend"),
        ({"msg": "Cannot connect."}, False, "whether a delta is half applied, the database does not tell. Cannot con"),
        ({"unreachable": True}, True, "the database does not tell. It did not answer."),
    ],
)
def test_no_rollback_opens_the_site_on_half_a_delta_but_the_one_that_finishes_it(
    database: dict[str, Any], undo: bool, said: str
) -> None:
    begun = {**entry(), "from": {"w0": "a"}}
    made = back(look("b", releases="ab", owner="deploy", journal=[begun]), database=database, undo=undo)
    assert (made["release"], made["left"], made["undo_to"]) == ("a", "b", 1)
    assert len(made["refusals"]) == (2 if said else 0), made["refusals"]
    assert said.lower() in " ".join(made["refusals"]).lower()
    if said:
        assert made["refusals"][-1] == WITHOUT_A_LOOK
    assert back(look(previous="a"), database=database, undo=undo, release="a")["refusals"] == [], "nothing to do"


@pytest.mark.parametrize(
    ("kind", "database", "verdict", "end"),
    [
        ("deploy", UNDONE, "the undo of a deploy is unfinished", f"lamp.cluster.rollback {UNDO}"),
        (
            "deploy",
            {"error_code": "dbdeploy_half_way", "msg": "Cut off.", "unfinished": UNDONE["unfinished"]},
            "the undo of a deploy is unfinished",
            f"lamp.cluster.rollback {UNDO}",
        ),
        ("deploy", APPLIED, "a deploy is unfinished", "lamp.cluster.deploy"),
        ("deploy", QUIET, "a deploy is unfinished", "lamp.cluster.rollback)"),
        ("rollback", UNDONE, "a rollback is unfinished", f"rollback_release=b {UNDO}"),
        ("rollback", QUIET, "a rollback is unfinished", "rollback_release=b"),
    ],
)
def test_the_command_that_goes_on_is_one_that_is_not_refused(
    kind: str, database: dict[str, Any], verdict: str, end: str
) -> None:
    told = standing({"w0": look(journal=[entry(kind)])}, FREE, database, [])
    assert told["verdict"] == verdict
    assert told["next"].endswith(end)


PENDING = {"pending": [{"name": "2_x.sql", "number": 2}]}
COMMAND = "ansible-playbook lamp.cluster.deploy"


@pytest.mark.parametrize(
    ("lock", "database", "verdict", "command"),
    [
        (FREE, {"msg": "Cannot connect."}, "the database cannot be told to fit", "mend what is said of the database"),
        (FREE, {"unreachable": True}, "the database cannot be told to fit", "mend what is said of the database"),
        (FREE, {"error_code": "dbdeploy_changed", "msg": "Edited."}, "the database cannot be told to fit", "mend what"),
        (FREE, {**APPLIED, "ahead": [2]}, "delta 2 is applied half way", f"{COMMAND}   (of a release that has it)"),
        (FREE, {**APPLIED, **PENDING}, "delta 2 is applied half way", COMMAND),
        (
            FREE,
            {"msg": "Cut off.", "unfinished": UNDONE["unfinished"]},
            "delta 2 is undone half way",
            "finish that with",
        ),
        (FREE, {**QUIET, **PENDING}, "the database is behind the code", COMMAND),
        (FREE, {**QUIET, "ahead": [2]}, "all is well", "nothing"),  # as a rollback without an undo left it
        ({"failed": True, "msg": "Damaged."}, QUIET, "whether a deploy is running cannot be told", "mend what is said"),
        ({}, QUIET, "whether a deploy is running cannot be told", "mend what is said of the lock above"),
        (
            {"failed": True},
            {"msg": "Cannot connect."},
            "the database cannot be told to fit",
            "mend what is said of the",
        ),
        (FREE, {}, "all is well", "nothing"),
    ],
)
def test_all_is_well_only_where_all_that_was_asked_said_so(
    lock: dict[str, Any], database: dict[str, Any], verdict: str, command: str
) -> None:
    told = standing({"w0": look()}, lock, database, [])
    assert (told["verdict"], told["next"][: len(command)]) == (verdict, command)


def test_half_a_delta_that_the_release_has_never_seen_is_named_as_one() -> None:
    lines = standing({"w0": look()}, FREE, {**APPLIED, "ahead": [2, 3]}, [])["lines"]
    assert "Deltas that the release has never seen: 2 (half applied), 3" in lines


@pytest.mark.parametrize(
    ("result", "undo_failed", "said"),
    [
        ({"failed": False}, False, f"{RESUME} To go back instead: BACK"),
        ({"failed": True}, False, f"{RESUME} To go back instead, unless a delta is applied half way: BACK"),
        ({"failed": False}, True, f"Mend what failed, then finish the undo: BACK {UNDO}"),
    ],
)
def test_a_deploy_that_failed_names_a_way_back_that_is_not_refused(
    result: dict[str, Any], undo_failed: bool, said: str
) -> None:
    state: dict[str, Any] = {"deploy__told_briefly": {"rollback": "BACK"}, "deploy__recovery": "stay"}
    plan = deploy(owner="deploy")
    known = {**state, "dbdeploy_result": result, "deploy__undo_failed": undo_failed}
    assert evaluated("deploy__way_on", plan, **known) == said


CUT = {**entry(numbers=[2], deltas_begun=True), "from": {"w0": "a"}}
WAITING = [{"name": "2.sql", "number": 2}, {"name": "3.sql", "number": 3}]


@pytest.mark.parametrize(
    ("found", "more", "begun"),
    [
        ({}, {}, False),
        ({}, {"pending": WAITING[1:]}, True),  # it was applied
        ({}, {"pending": []}, True),
        ({}, {"half": half("do")["unfinished"]}, True),
        ({}, {"half": half("undo", 1)["unfinished"]}, True),
        ({"journal": [{**CUT, "unsound": "A rollback was cut off before it."}]}, {}, True),
        ({"journal": [{**CUT, "numbers": []}]}, {}, True),  # handed on by a run before it
        ({"journal": [{**CUT, "kind": "rollback", "left": "b"}]}, {}, True),
        ({"journal": [{**CUT, "finished": True}]}, {"pending": []}, False),
    ],
)
def test_a_deploy_that_was_cut_off_before_its_deltas_keeps_no_later_one_from_opening_the_site(
    found: dict[str, Any], more: dict[str, Any], begun: bool
) -> None:
    made = plan(look(**{"journal": [CUT], **found}), **{"pending": WAITING, **more})
    assert made["deltas_begun"] is begun
    assert evaluated("deploy__safe_recovery", made) == ("stay" if begun else "put_back")
    assert evaluated("deploy__entry.deltas_begun", made, deploy__recovery="") is (begun or bool(made["numbers"]))
