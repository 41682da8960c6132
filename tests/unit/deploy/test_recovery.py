# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy that failed does about it, by the variables of the role, as its tasks evaluate them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.template import trust_as_template
from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.plan import deploy_plan, replaced, rollback_plan
from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.standing import standing

from tests.support.modules import ROOT
from tests.support.variables import evaluated as variables_of_role

BEGUN = {"id": "2026", "by": "ann", "finished": False, "from": {"w0": "a"}, "deltas_begun": True}
DEPLOY, ROLLBACK = (
    {**BEGUN, "kind": "deploy", "release": "b", "numbers": [10]},
    {**BEGUN, "kind": "rollback", "release": "a", "left": "b"},
)
UNTOUCHED = {"skipped": True}
RESUME = "Mend what failed, then run the same command again."


def looks(*, owner: str = "", journal: tuple[dict[str, Any], ...] = ()) -> dict[str, dict[str, Any]]:
    """Of one host, on which the release a is live and b is there."""
    releases = [{"release": name, "rejected": "", "deltas": []} for name in "ab"]
    block = {"owner": owner, "since": 0.0} if owner else {}
    host = {"current": "a", "previous": "b", "releases": releases, "block": block, "journal": list(journal)}
    return {"w0": {**host, "doubt": "", "problems": []}}


def deploy(**given: Any) -> dict[str, Any]:
    return deploy_plan(looks(**given), "now", "b", ["w0"], [{"name": "11.sql", "number": 11}], False, "auto", [])


def evaluated(name: str, plan: dict[str, Any], **variables: Any) -> Any:
    """A variable of the role, when a run with this plan failed before it touched the database."""
    state = {
        "ansible_play_hosts_all": ["w0"], "hostvars": {"w0": {}}, "deploy_on_failure": "stay", "deploy__plan": plan,
        "dbdeploy_result": UNTOUCHED, "dbdeploy_undone": UNTOUCHED, "dbdeploy_acknowledged": UNTOUCHED,
        "deploy__kept": {}, "deploy__recovery": "", "deploy__recovered": "", "deploy__switched_hosts": [], **variables,
    }  # fmt: skip
    if state["deploy__recovery"]:  # recover.yml makes a fact of it
        state["deploy__recovered"] = trust_as_template("{{ deploy__recovery_result }}")
    return variables_of_role("deploy", name, state)


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


@pytest.mark.parametrize(
    ("result", "recovery"),
    [
        (UNTOUCHED, "put_back"),
        ({"changed": False, "database_changed": False}, "put_back"),
        ({"failed": True, "database_changed": False}, "put_back"),
        ({"failed": True}, "stay"),
        ({"unreachable": True}, "stay"),
        ({"database_changed": True}, "stay"),
    ],
)
def test_a_deploy_puts_back_where_the_deltas_say_that_nothing_took_effect(
    result: dict[str, Any], recovery: str
) -> None:
    assert evaluated("deploy__safe_recovery", deploy(), dbdeploy_result=result) == recovery


@pytest.mark.parametrize(
    ("undone", "recovery"),
    [
        (UNTOUCHED, "put_back"),
        ({"changed": True, "undone": []}, "put_back"),  # what the look beforehand left under the same name
        ({"database_changed": False}, "put_back"),
        ({"database_changed": True}, "stay"),
        ({"failed": True, "database_changed": False}, "put_back"),
        ({"failed": True}, "stay"),
        ({"unreachable": True}, "stay"),
    ],
)
def test_a_rollback_that_may_have_undone_deltas_opens_nothing(undone: dict[str, Any], recovery: str) -> None:
    plan = rollback_plan(looks(), "now", "a", undo=True)
    assert evaluated("deploy__safe_recovery", plan, dbdeploy_undone=undone) == recovery


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (deploy(owner="operator"), "An operator had blocked the site"),
        (deploy(owner="operator", journal=(DEPLOY,)), "An operator had blocked the site"),
        (deploy(owner="deploy", journal=({**DEPLOY, "unsound": "An old story."},)), "An old story."),
        (deploy(owner="deploy", journal=({**ROLLBACK, "unsound": "An old story."},)), "An old story."),
        (deploy(owner="deploy", journal=({**ROLLBACK, "undo": True},)), "A rollback that undid deltas was cut off"),
        (deploy(owner="deploy", journal=(ROLLBACK,)), "A rollback was cut off"),
        (deploy(journal=(DEPLOY,)), "users may work with them"),
        (deploy(owner="deploy"), "by a deploy that told nobody how it ended"),
        (deploy(owner="deploy", journal=({**DEPLOY, "finished": True},)), "by a deploy that told nobody"),
    ],
)
def test_a_site_that_was_not_open_and_whole_before_is_not_opened_by_an_undo(plan: dict[str, Any], why: str) -> None:
    assert evaluated("deploy__safe_recovery", plan, deploy_on_failure="undo", dbdeploy_result={}) == "undo"
    assert why in evaluated("deploy__undo_refusal", plan)
    told = evaluated("deploy__entry.unsound", plan, deploy__recovery="stay")
    assert told == plan["unsound"], "a third run would not know"
    back = rollback_plan(looks(owner="deploy", journal=({**DEPLOY, "unsound": told},)), "now")
    assert evaluated("deploy__entry.unsound", back, deploy__recovery="stay") == told


@pytest.mark.parametrize(
    "plan",
    [
        deploy(),
        deploy(owner="deploy", journal=(DEPLOY,)),
        deploy(journal=({**DEPLOY, "numbers": [11]},)),  # it was cut off before the block
    ],
)
def test_what_a_deploy_or_the_same_one_before_it_began_is_undone(plan: dict[str, Any]) -> None:
    blocked = {"deploy__here": {"now": True}, "deploy__look": looks(owner="deploy")["w0"]}
    undone = [{"number": number, "name": ""} for number in plan["numbers"]]
    asked: dict[str, Any] = {"dbdeploy_plan": {"resumed": [], "pending": []}, "dbdeploy_undone": {"undone": undone}}
    hosts = {"w0": {"inventory_hostname": "w0", **blocked}}
    assert evaluated("deploy__undo_refusal", plan, hostvars=hosts, **asked) == ""
    away = {**asked, "dbdeploy_plan": {"msg": "It is away."}}
    assert evaluated("deploy__undo_refusal", plan, hostvars=hosts, **away) == "It is away."


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
    seen = {"deploy__looks": looks()}
    assert evaluated("deploy__entry.deltas_begun", plan, deploy__recovery=recovery, **seen) is begun


LB1, LB2 = {"item": "lb1", "blocked": False, "owner": ""}, {"item": "lb2", "blocked": True, "owner": "deploy"}
SINCE = {"blocked_since": 0.0}
SILENT = {"item": "lb1", "unreachable": True, "msg": "Nobody there."}


@pytest.mark.parametrize(
    ("results", "doubt", "problems", "refused"),
    [
        ([{**LB2, **SINCE}], "", [], False),
        ([LB1, {**LB2, **SINCE}], "lb1: open", [], True),
        ([SILENT, {**LB2, **SINCE}], "", ["lb1: Nobody there."], True),
        ([{**LB2, **SINCE, "owner": "operator"}, LB1], "lb1: open", [], True),
        ([LB1, {**LB1, "item": "lb2"}], "", [], True),
        ([{"item": "lb1", "owner": "deploy", "msg": "Half.", **SINCE}, LB1], "lb1: Half.; lb1: open", [], True),
    ],
)
def test_what_one_load_balancer_has_opened_is_told_and_not_undone(
    results: list[dict[str, Any]], doubt: str, problems: list[str], refused: bool
) -> None:
    asked = {"maintenance__each": {"results": results}, "deploy__look": looks()["w0"]}
    told = {
        name: evaluated(f"deploy__balancers_told.{name}", deploy(), **asked) for name in ("block", "doubt", "problems")
    }
    assert (told["doubt"], told["problems"]) == (doubt, problems)
    here = {"inventory_hostname": "w0", "deploy__here": {"now": True}, "deploy__look": {**looks()["w0"], **told}}
    assert evaluated("deploy__open_already", deploy(), hostvars={"w0": here}) == (["w0"] if refused else [])


def test_an_undo_needs_the_answer_of_every_host_that_it_is_blocked() -> None:
    blocked = looks(owner="deploy")["w0"]
    told = [
        blocked, {**blocked, "block": {}}, {**blocked, "doubt": "Half."}, {**blocked, "problems": ["Edited."]},
        {"unreachable": True}, {},
    ]  # fmt: skip
    names = [f"w{number}" for number in range(len(told) + 1)]
    lost = {"inventory_hostname": names[-1], "deploy__look": blocked}  # by what it said before it was lost
    heard = {
        name: {"inventory_hostname": name, "deploy__here": {"now": True}, "deploy__look": look}
        for name, look in zip(names, told)
    }
    state = {"ansible_play_hosts_all": names, "hostvars": {**heard, names[-1]: lost}}
    assert evaluated("deploy__open_already", deploy(), **state) == names[1:]


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


@pytest.mark.parametrize(
    ("current", "due"),
    [
        ("aa", True),  # a new release; or one whose deploy was killed before the first switch, or put back
        ("ba", True),  # killed between two switches; or put back on one of them alone
        ("bb", False),  # a template that changed, a reload that is pending; or killed after the last switch
        ("b-", False),  # a new host; or a first deploy, killed between two switches
        ("a-", True),
        ("--", True),  # a first deploy; or one that was killed before the first switch
    ],
)
def test_without_a_database_a_tagged_release_drops_until_it_was_switched_to(current: str, due: bool) -> None:
    hosts: dict[str, dict[str, Any]] = {
        f"w{number}": {
            "inventory_hostname": f"w{number}", "deploy__run": 1, "release_staged": {"switch_due": True},
            "deploy__look": {"current": "" if name == "-" else name, "journal": [], "releases": []},
        }
        for number, name in enumerate(current)
    }  # fmt: skip
    known = {
        "hostvars": hosts, "ansible_play_hosts_all": list(hosts), "deploy__run": 1, "deploy__recovery": "",
        "deploy_deltas": "", "deploy__artifact": {"release": "b", "drop_sessions": True},
        "deploy__replaced": replaced({name: host["deploy__look"] for name, host in hosts.items()}, "b"),
    }  # fmt: skip
    assert evaluated("deploy__drop_due", {}, **known) is due
    known["deploy__artifact"] = {"release": "b", "drop_sessions": False}
    assert evaluated("deploy__drop_due", {}, **known) is False


def test_what_is_gone_back_from_makes_no_other_release_drop() -> None:
    here = {"deploy__look": {"releases": [{"release": name} for name in "abc"]}}
    known = {"hostvars": {"w0": here}}
    assert evaluated("deploy__left_drop_tags", deploy(), **known) == ["release b", "release c"], "a is gone back to"
    plan = rollback_plan(looks(journal=(DEPLOY,)), "now", "a")
    assert evaluated("deploy__left_drop_tags", plan, **known) == ["release b", "release c"]
    assert evaluated("deploy__left_drop_tags", plan) == ["release b"], "where no host answers"
    for name in ("recover_undo", "rollback_check", "rollback_window", "left"):
        tasks = (ROOT / "roles/deploy/tasks" / f"{name}.yml").read_text()
        undoing = tasks.count("tasks_from: undo\n") + tasks.count("tasks_from: forget\n")
        assert undoing == tasks.count('dbdeploy_drop_tags: "{{ deploy__left_drop_tags }}"\n'), f"{name} says which"


@pytest.mark.parametrize(
    ("plan", "named", "advice"),
    [
        (deploy(), "", "The same command does not run it again."),
        (rollback_plan(looks(), "now"), "", "The same command would go back one release further."),
        (rollback_plan(looks(), "now", "b"), "b", "The same command does not run it again."),
    ],
)
def test_where_only_the_last_hook_failed_nobody_is_told_to_go_back_once_more(
    plan: dict[str, Any], named: str, advice: str
) -> None:
    known = {"deploy_name": "shop", "rollback_release": named, "deploy__failure": "w0: it broke."}
    said = evaluated("deploy__stopped_message", plan, deploy__stopped="recorded", **known)
    assert said == (
        "Release b of shop is live and the site is open, and that is recorded, but the hook after_record failed."
        f" w0: it broke. Nothing is left but what that hook was to do: do it by hand. {advice}"
    )
    said = evaluated("deploy__stopped_message", plan, deploy__stopped="after", **known)
    assert said.endswith(f"but the {plan['kind']} could not be brought to its end. w0: it broke. {RESUME}")


def test_before_the_first_release_the_status_does_not_call_the_database_silent() -> None:
    skipped = {"changed": False, "skipped": True, "skip_reason": "Conditional result was False"}
    away, missing = {"unreachable": True, "msg": "no route"}, {"msg": "There is no folder."}

    def told(read: dict[str, Any], asked: dict[str, Any]) -> list[str]:
        database = evaluated("deploy__database_told", {}, deploy__read=read, dbdeploy_plan=asked)
        nothing = {"w0": {**looks()["w0"], "current": "", "releases": [], "doubt": ""}}
        lines = standing(nothing, {"holder": {}}, database, [])["lines"]
        return [line for line in lines if line.startswith("Database")]

    assert told(skipped, skipped) == []
    assert told({"delta_files": []}, away) == ["Database: unknown: no route"]
    assert told(missing, skipped) == ["Database: unknown: There is no folder."]


@pytest.mark.parametrize(
    ("source", "noted"),
    [
        ("https://ann:p@ss@git.example.com/shop.git?token=x", "https://git.example.com/shop.git"),
        ("git+https://ann:secret@git.example.com/~ann@home/shop.git", "git+https://git.example.com/~ann@home/shop.git"),
        ("https://git.example.com/shop@2.tar.gz", "https://git.example.com/shop@2.tar.gz"),
        ("git+ssh://git@git.example.com/shop.git", "git+ssh://git@git.example.com/shop.git"),
    ],
)
def test_no_password_of_a_source_is_noted(source: str, noted: str) -> None:
    assert evaluated("deploy__entry.source", deploy(), deploy_source=source) == noted


def test_names_that_a_wrong_pattern_leaves_alone_are_told_beside_the_number_of_sessions() -> None:
    hosts = {
        name: {"inventory_hostname": name, "session_purge_result": {"purged": purged, "ignored": ignored}}
        for name, purged, ignored in (("w0", 0, 12), ("w1", 3, 0), ("w2", 0, 1))
    }
    hosts["w3"] = {"inventory_hostname": "w3"}

    def said(*names: str) -> list[str]:
        lines: list[str] = evaluated("deploy__count_words", {}, hostvars=hosts, ansible_play_hosts_all=list(names))
        return lines

    assert said("w1", "w3") == ["Sessions that would be dropped: 3"]
    assert said("w0", "w1", "w2", "w3") == [
        "Sessions that would be dropped: 3",
        "Names left alone, as none of a session: w0 has 12, w2 has 1; see session_purge_id_pattern and"
        " session_purge_prefix",
    ]
