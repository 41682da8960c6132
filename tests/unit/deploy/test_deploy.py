# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is decided from what the hosts told, and what is said of it: each case by the looks that lead to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible import context
from ansible_collections.lamp.cluster.plugins.filter.deploy_standing import FilterModule
from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.plan import deploy_plan, plan_lines, rollback_plan
from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.standing import standing

from tests.support.variables import evaluated

FREE = {"holder": {"user": "me"}, "stale_taken": ""}
QUIET = {"pending": [], "resumed": [], "drop_reasons": [], "drop_sessions": False}


def look(
    current: str = "a", *, releases: str = "ab", rejected: str = "", owner: str = "", **more: Any
) -> dict[str, Any]:
    return {
        "current": current,
        "current_whole": current in releases,
        "previous": "",
        "releases": [
            {"release": name, "rejected": "bad" if name in rejected else "", "deltas": list(range(1, ord(name) - 95))}
            for name in releases
        ],
        "block": {"owner": owner, "since": 0.0} if owner else {},
        "doubt": "",
        "journal": [],
        "problems": [],
        **more,
    }


def entry(kind: str = "deploy", release: str = "b", **more: Any) -> dict[str, Any]:
    return {"id": "2026", "kind": kind, "release": release, "by": "ann", "finished": False, "from": {}, **more}


def plan(*looks: dict[str, Any], release: str = "b", **options: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"pending": [], "drop": False, "mode": "auto", "balancers": ["lb1"], **options}
    hosts = {f"w{number}": one for number, one in enumerate(looks)}
    due = [host for host, one in hosts.items() if one["current"] != release]
    return deploy_plan(hosts, "now", release, due, **given)


def back(*looks: dict[str, Any], **options: Any) -> dict[str, Any]:
    return rollback_plan({f"w{number}": one for number, one in enumerate(looks)}, "now", **options)


@pytest.mark.parametrize(
    ("made", "mode", "why"),
    [
        (plan(look("b"), look("b")), "nothing", "live"),
        (plan(look(), look()), "rolling", "nothing needs a window"),
        (plan(look(), look(), balancers=[]), "at once", "no load balancer"),
        (plan(look()), "at once", "take turns"),
        (plan(look(""), look("")), "at once", "take turns"),
        (plan(look(), look(), mode="window"), "window", "deploy_mode is window"),
        (plan(look(), look(), pending=[{"name": "3.sql", "number": 3}]), "window", "deltas are pending"),
        (plan(look("b"), look("b"), drop=True), "window", "drop the sessions"),
        (plan(look("b", owner="deploy"), look("b")), "window", "left the site blocked"),
        (plan(look(owner="ann"), look()), "window", "operator"),
        (plan(look("b", owner="ann"), look("b")), "nothing", "live"),
        (plan(look("b", owner="ann", journal=[entry()]), look("b")), "window", "operator"),
        (plan(look("b", journal=[entry(mode="rolling")]), look("b")), "rolling", "nothing needs"),
    ],
)
def test_the_mode_of_a_deploy_has_a_reason(made: dict[str, Any], mode: str, why: str) -> None:
    assert made["mode"] == mode
    assert why in made["why"]
    assert made["todo"] == (mode != "nothing")
    assert made["refusals"] == []


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (plan(look(rejected="b"), look()), "marked on w0"),
        (plan(look(), look(), mode="rolling", drop=True), "deploy_mode is rolling"),
        (plan(look(owner="ann"), look(), mode="rolling"), "needs a window (an operator has blocked the site)"),
        (plan(look(), look(), mode="rolling", balancers=[]), "deploy_balancers"),
        (plan(look(), look(), ahead=[3, 4]), "older than the database, which has deltas 3, 4."),
        (plan(look("b", owner="deploy"), look("b"), ahead=[3]), "older than the database, which has delta 3."),
        (back(look()), "no earlier good release"),
        (back(look(previous="b"), look(releases="a")), "not on w1"),
        (back(look(rejected="b"), release="b"), "itself marked"),
        (back(look("b", previous="`", releases="`b"), undo=True), "all deltas of the database would be undone"),
    ],
)
def test_a_refusal_names_what_is_in_the_way(made: dict[str, Any], said: str) -> None:
    assert said in " ".join(made["refusals"])


def test_a_release_that_is_behind_the_database_goes_live_only_when_told_to() -> None:
    made, idle = plan(look(), look(), ahead=[3], allow_behind=True), plan(look("b"), look("b"), ahead=[3])
    assert (made["todo"], idle["todo"]) == (True, False)
    for each in (made, idle):
        assert each["refusals"] == []
        assert "The database is ahead: it has delta 3, which this release has never seen" in plan_lines(each)


def test_a_plan_says_when_nothing_proves_that_the_new_code_is_served() -> None:
    def said(*looks: dict[str, Any], **options: Any) -> int:
        return sum(line.startswith("New code: not proven") for line in plan_lines(plan(*looks, **options)))

    assert said(look(), look(), proven=False) == 1
    assert said(look(), look(), proven=True) == said(look("b"), look("b"), proven=False, drop=True) == 0


def test_a_deploy_that_goes_on_knows_where_the_first_one_began() -> None:
    begun = {**entry(numbers=[7]), "from": {"w0": "a", "w1": "a"}}
    made = plan(
        look("b", owner="deploy", journal=[begun]), look("a", owner="deploy"), pending=[{"name": "8", "number": 8}]
    )
    assert made["from"] == {"w0": "a", "w1": "a"}
    assert made["numbers"] == [7, 8]
    assert made["can_go_back"]
    assert "Continues the deploy of b that ann began" in "\n".join(plan_lines(made))


def test_a_host_that_left_the_inventory_since_is_no_part_of_what_goes_on() -> None:
    begun = {**entry(mode="rolling"), "from": {"gone": "z", "w0": "a"}}
    made = plan(look("b", journal=[begun]))
    assert (made["from"], made["mode"]) == ({"w0": "a"}, "at once"), "it has nobody to take turns with"
    assert back(look("b", journal=[begun]))["release"] == "a"


OPEN = {**entry(numbers=[10], deltas_begun=True, result="failed, site open"), "from": {"w0": "a", "w1": "a"}}


@pytest.mark.parametrize("release", ["b", "c"])
def test_nobody_is_taken_back_behind_a_release_that_was_opened_though_the_end_of_its_deploy_failed(
    release: str,
) -> None:
    live, new = look("b", releases="abc", journal=[OPEN]), look("", releases="abc")
    made = plan(live, live, new, release=release, pending=[{"name": "11.sql", "number": 11}])
    assert (made["from"], made["numbers"]) == ({"w0": "b", "w1": "b", "w2": ""}, [11])
    assert (made["deltas_begun"], made["continues"] != "", made["todo"]) == (False, True, True)
    went = back(live, live)
    assert (went["release"], went["left"], went["deltas_begun"]) == ("a", "b", False)


@pytest.mark.parametrize(
    "looks",
    [
        (look("b", journal=[OPEN]), look("a")),  # not live everywhere
        (look("b", owner="deploy", journal=[OPEN]), look("b")),  # nor open
        (look("b", journal=[{**OPEN, "result": "failed, site blocked"}]), look("b")),
    ],
)
def test_what_may_be_between_two_releases_still_goes_back_to_where_it_began(looks: tuple[dict[str, Any], ...]) -> None:
    made = plan(*looks)
    assert (made["from"], made["numbers"], made["deltas_begun"]) == ({"w0": "a", "w1": "a"}, [10], True)
    assert back(*looks)["deltas_begun"] is True


@pytest.mark.parametrize(
    ("made", "release", "left"),
    [
        (back(look("b", previous="a")), "a", "b"),
        (back(look("a", previous="z", journal=[{**entry(), "from": {"w0": "a"}}])), "a", "b"),
        (back(look("a", previous="z", journal=[entry("rollback", "a", left="b")])), "a", "b"),
        (back(look("b", previous="a", releases="ab"), release="b"), "b", ""),
    ],
)
def test_a_rollback_leaves_what_is_live_or_was_about_to_be(made: dict[str, Any], release: str, left: str) -> None:
    assert (made["release"], made["left"]) == (release, left)


def test_a_rollback_says_which_deltas_stay_or_are_undone() -> None:
    kept, undone = back(look("b", previous="a")), back(look("b", previous="a"), undo=True)
    assert "Deltas: 2 stay applied, which release a has never seen; -e rollback_undo" in "\n".join(plan_lines(kept))
    assert "those above 1 are undone" in "\n".join(plan_lines(undone))


def test_a_rollback_knows_a_delta_that_came_late_below_those_of_the_release_that_it_goes_back_to() -> None:
    merged = look("b", previous="a")
    merged["releases"] = [
        {"release": "a", "rejected": "", "deltas": [40, 42]},
        {"release": "b", "rejected": "", "deltas": [40, 41, 42]},
    ]
    kept, undone = back(merged), back(merged, undo=True)
    assert kept["refusals"] == []
    assert "Deltas: 41 stay applied, which release a has never seen; only new deltas" in "\n".join(plan_lines(kept))
    assert "Release a has never seen delta 41, which came late: below its own delta 42" in " ".join(undone["refusals"])


def test_deltas_that_an_earlier_rollback_left_are_not_undone_by_the_files_of_another_release() -> None:
    went = {**entry("rollback", "a", left="b", undo=False, finished=True), "from": {"w0": "b"}}
    live = look("a", previous="`", releases="`ab", rejected="b", journal=[went])
    for made in (back(live, undo=True), back(live, undo=True, release="a")):
        assert made["release"] == "a"
        (said,) = made["refusals"]
        assert "lamp.cluster.dbdeploy (state=undone, to=1) by the files of release b" in said
    assert back(live, undo=True, release="`")["release"] == "`", "further back goes who names it"
    assert (back(live)["release"], back(live)["refusals"]) == ("`", [])
    undone = {**live, "journal": [{**went, "undo": True}]}
    assert back(undone, undo=True, release="a")["refusals"] == []
    assert back({**undone, "previous": "`"}, undo=True)["release"] == "`"


def test_a_host_that_was_away_does_not_make_an_ended_deploy_unfinished() -> None:
    ended = {**entry(), "finished": True, "result": "deployed"}
    told = standing({"w0": look(journal=[entry()]), "w1": look(journal=[ended])}, FREE, QUIET, [])
    assert told["unfinished"] == {}
    assert told["verdict"] == "all is well"


def test_a_deploy_that_changed_nothing_hides_no_unfinished_one() -> None:
    owed = entry(leftovers="w0: the database is away.", mode="rolling")
    stopped = entry(id="2027", release="c", finished=True, result="failed, nothing changed")
    for started in (look("b", journal=[owed, stopped]), look("b", journal=[owed])):
        told = standing({"w0": started, "w1": look("b", journal=[owed, stopped])}, FREE, QUIET, [])
        assert (told["verdict"], told["unfinished"]) == ("a deploy is unfinished", owed)
        assert [one["id"] for one in told["history"]] == [owed["id"], "2027"]
    made = plan(look("b", journal=[owed, stopped]), look("b"))
    assert (made["todo"], made["owing"], made["continues"]) == (
        True,
        owed,
        plan(look("b", journal=[owed]))["continues"],
    )


@pytest.mark.parametrize(
    ("looks", "lock", "database", "away", "verdict"),
    [
        ([look()], FREE, QUIET, [], "all is well"),
        ([look()], {"error_code": "deploy_lock_held", "holder": {"user": "ann"}}, QUIET, [], "a deploy is running"),
        ([look(journal=[entry()])], FREE, QUIET, [], "a deploy is unfinished"),
        ([look(journal=[entry("rollback")])], FREE, QUIET, [], "a rollback is unfinished"),
        ([look(owner="deploy")], FREE, QUIET, [], "the site is blocked by a deploy that told nobody how it ended"),
        ([look(owner="ann")], FREE, QUIET, [], "an operator has blocked the site"),
        ([look(owner="ann", doubt="lb1: open")], FREE, QUIET, [], "an operator has blocked a part of the site"),
        ([look(problems=["no snippet"])], FREE, QUIET, [], "not all can be told"),
        ([look(), look("b")], FREE, QUIET, [], "the web hosts run different releases"),
        ([look("z")], FREE, QUIET, [], "the live release is gone"),
        ([look("")], FREE, QUIET, [], "nothing was deployed yet"),
        ([look()], FREE, {**QUIET, "drop_sessions": True}, [], "a session drop is due"),
        ([look()], FREE, QUIET, ["w9"], "hosts are missing"),
    ],
)
def test_the_verdict_is_the_first_thing_that_is_not_well(
    looks: list[Any], lock: dict[str, Any], database: dict[str, Any], away: list[str], verdict: str
) -> None:
    told = standing({f"w{number}": one for number, one in enumerate(looks)}, lock, database, away)
    assert told["verdict"] == verdict
    assert told["lines"][-2:] == [f"So: {verdict}", f"Next: {told['next']}"]


def test_a_session_drop_that_is_due_is_shown_with_who_asks_for_it() -> None:
    due = {**QUIET, "drop_sessions": True, "drop_reasons": ["003_login.sql", "release 3f2a91c"]}
    told = standing({"w0": look(journal=[entry(finished=True, sessions_dropped=1)])}, FREE, due, [])
    assert "Session drop due: 003_login.sql, release 3f2a91c" in told["lines"]
    assert any(line.endswith(", 1 session dropped") for line in told["lines"]), told["lines"]
    assert "Session drop due: none" in standing({"w0": look()}, FREE, QUIET, [])["lines"]


@pytest.mark.parametrize(
    ("source", "given"),
    [
        ("/srv/shop", "-e deploy_source=/srv/shop"),
        ("git+https://git.example.com/shop.git", "-e deploy_source=git+https://git.example.com/shop.git"),
        ("/srv/ann's shop", """-e '{"deploy_source": "/srv/ann'"'"'s shop"}'"""),
        ("/srv/$(id)", """-e '{"deploy_source": "/srv/$(id)"}'"""),
    ],
)
def test_the_command_that_goes_on_can_be_pasted(source: str, given: str) -> None:
    told = standing({"w0": look(journal=[entry(source=source)])}, FREE, QUIET, [])
    assert f"lamp.cluster.deploy {given}   (or back" in told["next"]


def test_the_command_that_goes_on_names_the_version_and_the_checksum() -> None:
    begun = entry(source="git+ssh://git@git.example.com/shop.git", version="v2.3", checksum="")
    told = standing({"w0": look(journal=[begun])}, FREE, QUIET, [])
    assert "-e deploy_source=git+ssh://git@git.example.com/shop.git -e deploy_source_version=v2.3   (or" in told["next"]
    begun = entry(source="https://example.com/shop.tar.gz", version="", checksum="sha256:ab")
    told = standing({"w0": look(journal=[begun])}, FREE, QUIET, [])
    assert "-e deploy_source=https://example.com/shop.tar.gz -e deploy_source_checksum=sha256:ab   (or" in told["next"]


def test_the_command_that_goes_on_names_the_application_that_this_one_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extra = [
        "@vars/shop.yml",
        "deploy_name=shop release_force=true",
        '{"deploy_hosts": "web:&north"}',
        "login_password=x",
    ]
    monkeypatch.setattr(context, "CLIARGS", {"extra_vars": extra})
    tell = FilterModule().filters()["deploy_standing"]
    told = tell({"w0": look(journal=[entry(source="/srv/shop")])}, lock=FREE, database=QUIET, away=[])
    more = """-e @vars/shop.yml -e deploy_name=shop -e '{"deploy_hosts": "web:&north"}'"""
    assert told["next"].startswith(f"ansible-playbook lamp.cluster.deploy {more} -e deploy_source=/srv/shop   (or back")
    assert told["next"].endswith(f"lamp.cluster.rollback {more})")
    told = tell({"w0": look(owner="ann")}, lock=FREE, database=QUIET, away=[])
    assert told["next"] == f"ansible-playbook lamp.cluster.maintenance {more} -e maintenance_state=disabled"


def test_the_last_deploy_is_the_one_that_was_written_last_whatever_the_clocks_of_the_controllers_say() -> None:
    ahead, behind = entry(id="2026-11-21T13", finished=True), entry(id="2026-11-21T12", release="c")
    missed = entry(id="2026-11-21T11", finished=True)
    hosts = {
        "w0": look(journal=[missed, ahead, behind]),
        "w1": look(journal=[ahead, behind]),
        "w2": look(journal=[missed]),
    }
    told = standing(hosts, FREE, QUIET, [])
    assert [one["id"] for one in told["history"]] == [missed["id"], ahead["id"], behind["id"]]
    assert (told["verdict"], told["unfinished"]["release"]) == ("a deploy is unfinished", "c")
    crossed = {
        "w0": look(journal=[ahead, behind]),
        "w1": look(journal=[behind, ahead]),
    }  # no order at all
    assert len(standing(crossed, FREE, QUIET, [])["history"]) == 2


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    problem = look(problems=["The snippet is missing."])
    told = standing({"w0": problem}, {"unreachable": True, "msg": "no route"}, {"msg": "Cannot connect."}, ["w1"])
    assert told["hosts"] == [
        "w0: a, block unknown; The snippet is missing.",
        "w1: cannot be reached; nothing is known of it",
    ]
    assert told["lines"][0] == "Site: unknown"
    half = standing({"w0": problem, "w2": look()}, FREE, QUIET, [])
    assert half["lines"][0] == "Site: open; unknown of w0"
    assert "Lock: unknown: no route" in told["lines"]
    assert "Database: unknown: Cannot connect." in told["lines"]


def test_what_a_deploy_would_refuse_comes_before_the_command_that_goes_on() -> None:
    half = look(owner="deploy", doubt="The flag says more than the map.", journal=[entry()])
    told = standing({"w0": half}, FREE, QUIET, [])
    assert told["lines"][0] == "Site: unknown"
    assert told["hosts"][0].endswith("by a deploy of 1970-01-01 00:00:00Z: The flag says more than the map.")
    assert told["next"].startswith("ansible-playbook lamp.cluster.deploy")
    told = standing({"w0": look(problems=["The rules were edited."], journal=[entry()])}, FREE, QUIET, [])
    assert told["next"].startswith("mend what is named above, which keeps a deploy from beginning; then ansible")


def test_a_dead_holder_and_half_a_delta_are_named() -> None:
    begun = {"number": 7, "direction": "do", "unknown": False}
    half = {**QUIET, "pending": [{"name": "7_x.sql", "number": 7}], "unfinished": [begun]}
    told = standing({"w0": look()}, {"stale_taken": "ann on c (process 1)"}, half, [])
    assert "Lock: left behind by ann on c (process 1), which is dead; the next deploy takes it over" in told["lines"]
    assert "Deltas pending: 7_x.sql (half applied)" in told["lines"]


def test_what_a_drop_put_aside_is_owed_until_a_later_entry_says_that_it_is_gone() -> None:
    owed = entry(finished=True, leftovers="w0: the database is away.")
    made = plan(look("b", journal=[owed]), look("b", journal=[owed]))
    assert (made["todo"], made["owing"]) == (False, owed)
    assert plan_lines(made)[-1] == "What an earlier session drop put aside is removed"
    told = standing({"w0": look("b", journal=[owed])}, FREE, QUIET, [])
    assert told["verdict"].startswith("all is well, but")
    assert told["next"].startswith("ansible-playbook lamp.cluster.deploy")
    assert "Left behind by a session drop (the next deploy removes it): w0: the database is away." in told["lines"]
    gone = [owed, entry(id="2027", finished=True, leftovers="")]
    assert not plan(look("b", journal=gone))["owing"]
    assert standing({"w0": look("b", journal=gone)}, FREE, QUIET, [])["verdict"] == "all is well"


def test_a_host_that_is_left_out_of_the_balancing_is_named_as_long_as_it_is() -> None:
    out = entry(finished=True, result="deployed", left_out=["w1", "gone"])
    looks = {"w0": look("b", journal=[out]), "w1": look("b")}
    told = standing(looks, FREE, QUIET, [])
    assert told["verdict"] == "web hosts are left out of the balancing since an earlier run"
    assert told["next"].startswith("ansible-playbook lamp.cluster.deploy")
    assert "Left out of the balancing: w1" in told["lines"]
    assert standing({"w0": looks["w0"]}, FREE, QUIET, [])["verdict"] == "all is well", "no host of the inventory is"


def test_hooks_of_no_moment_and_of_no_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tell.yml").write_text("- ansible.builtin.meta: end_host\n")
    for number, written in enumerate(("- meta: end_play", '[{"ansible.builtin.meta": "end_batch"}]')):
        (tmp_path / f"end{number}.yml").write_text(f"{written}\n")
    hooks = {
        "after_record": f"{tmp_path}/tell.yml", "on_failure": "hooks/tell.yml",
        "after_smoke": f"{tmp_path}/tell.yml", "before_switch": f"{tmp_path}/missing.yml",
        "before_plan": f"{tmp_path}/end0.yml", "after_plan": f"{tmp_path}/end1.yml",
    }  # fmt: skip
    assert evaluated("deploy", "deploy__hook_refusals", {"deploy_hooks": hooks}) == [
        "deploy_hooks names no such moment: after_smoke.",
        "deploy_hooks takes whole paths: begin hooks/tell.yml with inventory_dir or playbook_dir.",
        f"deploy_hooks names files that are not there: {tmp_path}/missing.yml.",
        "deploy_hooks names files with meta: end_play, which ends a deploy as if it were done:"
        f" {tmp_path}/end0.yml, {tmp_path}/end1.yml.",
    ]
