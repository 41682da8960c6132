# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which web hosts a recovery gives back to users, and which it must not: blocked, or out of the balancing."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.plan import deploy_plan, plan_lines, rollback_plan

from tests.support.modules import ROOT
from tests.support.variables import evaluated as role_variable
from tests.unit.deploy.test_recovery import CUT, deploy, evaluated, looks

BACK = {"release": "a", "changed": True, "failed": False}
FAILED, GONE = {"failed": True, "msg": "The disk is full."}, {"unreachable": True}
TURN_OF_ANOTHER = {"skipped": True, "changed": False}
BOTH = {"from": {"w0": "a", "w1": "a"}}


def hosts(**given: Any) -> dict[str, Any]:
    """Variables of two web hosts, of which w1 has these results, and w0 was given the release of before."""
    first = {"w0": {"inventory_hostname": "w0", "release_activated": BACK}}
    known = {**first, "w1": {"inventory_hostname": "w1", **given}}
    return {"hostvars": known, "ansible_play_hosts_all": ["w0", "w1"], "deploy__away": []}


def rolling(**given: Any) -> dict[str, Any]:
    """The plan in which hosts take turns."""
    two = {**looks(**given), "w1": looks()["w0"]}
    return deploy_plan(two, "now", "b", ["w0", "w1"], [], False, "auto", ["lb1", "lb2", "lb3"])


@pytest.mark.parametrize("recovery", ["put_back", "undo"])
@pytest.mark.parametrize("activated", [FAILED, GONE, {"release": "b", "changed": True}, TURN_OF_ANOTHER])
@pytest.mark.parametrize(("balancers", "kept"), [([], ["w1"]), (["lb"], ["w0", "w1"])])
def test_a_window_opens_only_what_was_given_the_old_code_again(
    recovery: str, activated: dict[str, Any], balancers: list[str], kept: list[str]
) -> None:
    plan = {**deploy(), **BOTH}
    state = {"maintenance_balancers": balancers, "deploy__recovery": recovery, "deploy__stopped": ""}
    begun = evaluated("deploy__maybe_switched", plan, **hosts(release_activated=activated))
    state["deploy__switched_hosts"] = begun
    half, whole = hosts(release_activated=activated), hosts(release_activated=BACK)
    assert evaluated("deploy__kept_blocked", plan, **half, **state) == kept
    assert evaluated("deploy__kept_blocked", plan, **whole, **state) == []
    seen = {"w0": looks()["w0"], "w1": looks(owner="deploy")["w0"]}
    for name, told in (
        ("result", "failed, not all put back"),
        ("finished", False),
        ("deltas_begun", recovery == "undo"),
    ):
        assert evaluated(f"deploy__entry.{name}", plan, deploy__looks=seen, **half, **state) == told


@pytest.mark.parametrize("lost", [{}, {"release_activated": {}}])
def test_a_host_that_was_lost_before_it_was_switched_keeps_nobody_blocked(lost: dict[str, Any]) -> None:
    state = {"maintenance_balancers": ["lb"], "deploy__recovery": "put_back"}
    for plan, kept in (({**deploy(), **BOTH}, []), ({**deploy(), **BOTH, "between": ["w0", "w1"]}, ["w0", "w1"])):
        begun = evaluated("deploy__maybe_switched", plan, **hosts(**lost))
        assert evaluated("deploy__kept_blocked", plan, **hosts(**lost), deploy__switched_hosts=begun, **state) == kept


def test_what_an_unfinished_deploy_may_have_switched_is_put_back_as_well() -> None:
    assert deploy()["between"] == []
    assert deploy(journal=({**CUT, "finished": True},))["between"] == []
    assert deploy(journal=(CUT,))["between"] == ["w0"]


def test_runs_that_continue_each_other_know_the_first_one_whose_settings_are_kept() -> None:
    assert deploy()["began"] == "now"
    assert deploy(journal=({**CUT, "finished": True, "began": "2025"},))["began"] == "now"
    assert deploy(journal=(CUT,))["began"] == CUT["id"]
    third = deploy(journal=({**CUT, "began": "2025"},))
    assert evaluated("deploy__entry.began", third, deploy__recovery="stay") == third["began"] == "2025"
    assert third["id"] == "now"


@pytest.mark.parametrize(
    ("noted", "stopped", "templates", "forgotten"),
    [
        (True, "", ["env.j2"], True),
        (True, "", [], False),
        (False, "", ["env.j2"], False),  # a later run may have to put them back
        (True, "before", ["env.j2"], False),  # of what is unfinished since an earlier run
    ],
)
def test_the_settings_of_before_are_kept_until_nothing_can_put_them_back(
    noted: bool, stopped: str, templates: list[str], forgotten: bool
) -> None:
    tasks = yaml.safe_load((ROOT / "roles/deploy/tasks/record.yml").read_text())
    (conditions,) = (task["when"] for task in tasks if task["name"] == "Forget the settings of before")
    known = {"deploy__recorded": {"finished": noted}, "deploy__stopped": stopped, "release_templates": templates}
    assert all(evaluated(condition, deploy(), **known) for condition in conditions) is forgotten


@pytest.mark.parametrize(
    ("kept", "activated", "recovery"),
    [
        ("2025", {"changed": True, "failed": True}, "stay"),  # users would meet newer code with settings of before
        ("2025", {}, "put_back"),
        ("2024", {"changed": True, "failed": True}, "put_back"),
        ("", {"changed": True, "failed": True}, "put_back"),
    ],
)
def test_a_rollback_that_has_put_settings_back_does_not_open_the_site_on_newer_code(
    kept: str, activated: dict[str, Any], recovery: str
) -> None:
    seen = looks(journal=({**CUT, "deltas_begun": False, "began": "2025"},))
    seen["w0"].update(current="b", settings_kept=kept)
    plan = rollback_plan(seen, "now")
    assert (plan["release"], plan["began"]) == ("a", "2025")
    known = {"inventory_hostname": "w0", "release_activated": activated}
    state = {"hostvars": {"w0": known}, "ansible_play_hosts_all": ["w0"], "deploy__looks": seen, "deploy__away": []}
    assert evaluated("deploy__safe_recovery", plan, **state) == recovery


@pytest.mark.parametrize(("journal", "finished"), [((CUT,), False), ((), True)])
def test_what_a_rollback_went_on_with_is_as_unfinished_as_before_where_that_was_put_back(
    journal: tuple[dict[str, Any], ...], finished: bool
) -> None:
    seen = looks(journal=journal)
    plan = rollback_plan(seen, "now", "a")
    state = {"deploy__recovery": "put_back", "deploy__stopped": "", "deploy__looks": seen, "deploy__away": []}
    assert evaluated("deploy__entry.result", plan, **state) == "failed, put back"
    assert evaluated("deploy__entry.finished", plan, **state) is finished


def test_neither_a_recovery_nor_a_rollback_renders_settings_anew() -> None:
    (switch,) = yaml.safe_load((ROOT / "roles/release/tasks/activate.yml").read_text())
    asked = switch["lamp.cluster.release"]["templates"].strip("{ }")
    given = {"release_templates": [{"src": "env.j2", "dest": ".env"}]}  # with -e, nothing takes its place
    assert role_variable("release", asked, {**given, "release_restore": True}) == []
    assert role_variable("release", asked, {**given, "release_restore": False}) == given["release_templates"]
    for file in ("recover", "rollback_window"):
        text = (ROOT / "roles/deploy/tasks" / f"{file}.yml").read_text()
        assert (text.count("release_restore: true"), text.count("release_templates")) == (1, 0)


def test_back_is_a_host_that_runs_its_own_release_of_before_and_answered_that_it_was_given_it() -> None:
    plan = {**deploy(), "from": {"w0": "a", "w1": "b"}}
    a = looks()["w0"]
    b = {**a, "current": "b"}
    given = {"release": "b", "changed": True}
    for seen, answer, back in (
        ({"w0": a, "w1": b}, given, True),
        ({"w0": a, "w1": b}, FAILED, False),
        ({"w0": b, "w1": a}, given, False),
        ({"w0": a, "w1": a}, given, False),
    ):
        state = {"deploy__recovery": "put_back", "deploy__looks": seen, "deploy__switched_hosts": ["w0", "w1"]}
        assert (evaluated("deploy__not_back", plan, **state, **hosts(release_activated=answer)) == []) is back


@pytest.mark.parametrize(
    ("activated", "given_back"),
    [(BACK, True), ({}, True), (TURN_OF_ANOTHER, True), (FAILED, False), (GONE, False)],
)
@pytest.mark.parametrize("begun", [(), (CUT,)])
def test_a_host_whose_switch_failed_takes_no_requests_until_a_run_succeeded_there(
    activated: dict[str, Any], given_back: bool, begun: tuple[dict[str, Any], ...]
) -> None:
    plan = rolling(journal=begun)
    taken_out = {"results": [{"item": "lb1", "was_enabled": True}]}
    known = {"deploy_balancers": ["lb1"], "deploy__taken_out": taken_out, "inventory_hostname": "w1"}
    state = hosts(release_activated=activated)
    assert evaluated("deploy__rejoined", plan, **state, **known) == (["lb1"] if given_back else [])
    assert evaluated("deploy__not_rejoined", plan, **state, **known) == ([] if given_back else ["w1"])
    seen = {"deploy__looks": {name: looks()["w0"] for name in ("w0", "w1")}, "deploy__switched_hosts": []}
    told = evaluated("deploy__entry.finished", plan, **state, **seen, deploy__recovery="put_back", deploy__stopped="")
    assert told is given_back, "the next run would not have it take requests again"


@pytest.mark.parametrize(
    ("current", "recovery", "undo"),
    [
        (["a", "a"], "put_back", "undo"),
        (["a", ""], "put_back", "undo"),  # a new host: none is live there, as before
        (["", "a"], "put_back", "undo"),
        (["a", "gone"], "put_back", "stay"),  # it is put back on the others; an undo must not leave it on what it has
        (["gone", "gone"], "stay", "stay"),
        (["", ""], "stay", "stay"),
    ],
)
def test_a_new_or_broken_host_keeps_the_others_from_nothing(current: list[str], recovery: str, undo: str) -> None:
    each = [{**looks()["w0"], "current": name, "current_whole": name == "a"} for name in current]
    two = {f"w{number}": one for number, one in enumerate(each)}
    plan = deploy_plan(two, "now", "b", ["w0", "w1"], [{"name": "1.sql", "number": 1}], False, "auto", [])
    switched = hosts(release_activated={"release": "b", "changed": True})
    assert evaluated("deploy__safe_recovery", plan, **switched) == recovery
    given = {"deploy_on_failure": "undo", "dbdeploy_result": {"database_changed": True}}
    assert evaluated("deploy__safe_recovery", plan, **switched, **given) == undo


def test_a_host_that_had_no_release_is_back_when_it_has_none() -> None:
    plan = {**deploy(), "from": {"w0": "a", "w1": ""}}
    state = {"deploy__recovery": "put_back", "deploy__switched_hosts": ["w0", "w1"]}
    for current, answer, left in (("", {"release": "", "changed": True}, []), ("b", FAILED, ["w1"])):
        seen = {"deploy__looks": {**looks(), "w1": {**looks()["w0"], "current": current}}}
        given = hosts(release_activated=answer)
        assert evaluated("deploy__not_given_back", plan, **state, **seen, **given) == left
        assert (evaluated("deploy__not_back", plan, **state, **seen, **given) == []) is (left == [])


def test_a_load_balancer_that_was_told_before_to_leave_a_host_out_goes_on_to() -> None:
    told = ({"was_enabled": True}, {"was_enabled": False}, {"unreachable": True})  # the last may have been told
    results = [{"item": f"lb{number}", **answer} for number, answer in enumerate(told, 1)]
    plan, cut = rolling(), rolling(journal=(CUT,))
    for taken_out, begun, expected in (
        ({"results": results}, plan, ["lb1", "lb3"]),
        ({"results": [{"item": "lb1", "skipped": True}]}, plan, []),  # another host's turn
        ({}, plan, []),
        ({"results": results}, cut, ["lb1", "lb2", "lb3"]),
    ):
        known = {"deploy_balancers": ["lb1", "lb2", "lb3"], "deploy__taken_out": taken_out, "inventory_hostname": "w0"}
        assert sorted(evaluated("deploy__rejoined", begun, **known)) == expected


def test_who_was_taken_out_in_one_backend_stays_out_there() -> None:
    given = yaml.safe_load((ROOT / "roles/deploy/tasks/rejoin.yml").read_text())[0]["lamp.cluster.haproxy_server"]
    half = [{"socket": "s", "backend": name, "previous_state": state}
            for name, state in (("web", "enabled"), ("api", "disabled"))]  # fmt: skip
    results = [{"item": "lb1", "was_enabled": True, "servers": half[:1]},
               {"item": "lb2", "was_enabled": True, "servers": half},
               {"item": "lb3", "was_enabled": True, "servers": half, "failed": True},
               {"item": "lb4", "unreachable": True}]  # fmt: skip
    known = {"deploy_balancers": ["lb1"], "deploy__taken_out": {"results": results}, "inventory_hostname": "w0"}
    for plan, expected in ((rolling(), [half[:1], half, half, []]), (rolling(journal=(CUT,)), [[], [], [], []])):
        told = [evaluated(given["previous"].strip("{} \n"), plan, item=f"lb{n}", **known) for n in range(1, 5)]
        assert told == expected
    assert evaluated("deploy__left_out_before", rolling(), **known) == ["lb2", "lb3"], "the last word names them"
    assert evaluated("deploy__left_out_before", rolling(journal=(CUT,)), **known) == []


def test_who_was_away_when_a_rolling_deploy_was_finished_takes_requests_again_when_it_is_back() -> None:
    cut = {**CUT, "from": {"w0": "a", "w1": "a"}}
    finished = deploy_plan(looks(journal=(cut,)), "now", "b", ["w0"], [], False, "auto", ["lb1"])
    assert finished["left_out"] == ["w1"]
    succeeding = {"deploy__stopped": "", "ansible_check_mode": False}
    run: dict[str, Any] = {"ansible_play_hosts_all": ["w0"], "deploy__looks": looks(), **succeeding}
    ended = {
        **cut,
        "finished": True,
        "left_out": evaluated("deploy__entry.left_out", finished, deploy__recovery="", **run),
    }
    assert ended["left_out"] == ["w1"]
    here = {**looks(journal=(ended,)), "w1": looks()["w0"]}
    for due in (["w0", "w1"], ["w0"], []):
        plan = deploy_plan(here, "now", "b", due, [], False, "auto", ["lb1"])
        assert (plan["todo"], plan["mode"], plan["turns"][-1]) == (True, "rolling", "w1")
        assert "Back into the balancing: w1, which an earlier run left out" in plan_lines(plan)
    drop = deploy_plan(here, "now", "b", [], [], True, "auto", ["lb1"])
    assert (drop["rejoin"], drop["cut_rolling"], rollback_plan(here, "now")["rejoin"]) == (True, False, True)
    known = {"deploy_balancers": ["lb1"], "deploy__taken_out": {"results": [{"item": "lb1", "was_enabled": False}]}}
    state = {**hosts(), **succeeding, "deploy__looks": {name: looks()["w0"] for name in ("w0", "w1")}}
    for recovery, host, balancers in (("", "w1", ["lb1"]), ("", "w0", []), ("put_back", "w1", [])):
        asked = {**known, **state, "inventory_hostname": host, "deploy__recovery": recovery}
        assert evaluated("deploy__rejoined", plan, **asked) == balancers
    for recovery, left in (("", []), ("put_back", ["w1"]), ("stay", ["w1"])):
        assert evaluated("deploy__entry.left_out", plan, **state, deploy__recovery=recovery) == left
        assert evaluated("deploy__entry.rejoin", drop, **state, deploy__recovery=recovery) is False, "none but w1 is"
    assert "'left_out': deploy__plan.left_out" in (ROOT / "roles/deploy/tasks/begin.yml").read_text(), (
        "cut off, it is known"
    )


def test_the_last_word_names_who_is_left_out_by_somebody_else() -> None:
    known = {f"w{n}": {"inventory_hostname": f"w{n}", "deploy__run": 1, "deploy__kept_out": out}
             for n, out in enumerate(("", "w1 by lb1, lb2", "w2 by lb1"))}  # fmt: skip
    state = {"hostvars": known, "ansible_play_hosts_all": list(known), "deploy__run": 1}
    assert evaluated("deploy__kept_out_words", {}, **state) == "w1 by lb1, lb2; w2 by lb1"
    state["ansible_play_hosts_all"] = ["w0"]
    assert evaluated("deploy__kept_out_words", {}, **state) == ""
