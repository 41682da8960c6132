# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which release a rollback leaves, which it goes back to, and where it rather asks."""

from __future__ import annotations

import pytest

from tests.unit.deploy.test_deploy import back, entry, look

ENDED = entry("rollback", "a", left="b", finished=True)
DEAD = "ann on deploy1 (process 4711) since 2026-11-21T03:00:02Z"


def test_after_a_deploy_to_a_part_of_the_hosts_somebody_says_which_release_is_left() -> None:
    first, canary = look("b", previous="a", releases="abc"), look("c", previous="b", releases="abc")
    made = back(first, canary)
    assert made["refusals"] == [
        "The web hosts run different releases: w0 b; w1 c. Name the one that all of them are to run with -e"
        " rollback_release=ID, or go back on some of them alone with --limit."
    ]
    named = back(first, canary, release="b")
    assert (named["refusals"], named["release"], named["left"], named["switch"]) == ([], "b", "c", ["w1"])
    alone = back(canary)
    assert (alone["refusals"], alone["release"], alone["left"]) == ([], "b", "c")
    begun = {**entry(release="c"), "from": {"w0": "b", "w1": "b"}}
    cut_off = back({**first, "journal": [begun]}, canary)
    assert (cut_off["refusals"], cut_off["release"], cut_off["left"]) == ([], "b", "c"), "what is unfinished says it"


@pytest.mark.parametrize("position", [0, 1])
def test_a_new_host_hides_no_way_back_and_is_named_where_it_lacks_the_release(position: int) -> None:
    old = [look("b", previous="a"), look("b", previous="a")]
    for new, refused in ((look("", releases=""), True), (look("b", releases="b"), True), (look(""), False)):
        made = back(*old[:position], new, *old[position:])
        assert (made["release"], made["left"]) == ("a", "b")
        assert made["refusals"] == refused * [
            f"Release a is not on w{position}. Deploy its code, which brings it to all hosts; or take w{position} out"
            " of the inventory and of the load balancer, go back, and deploy there later."
        ]
    begun = {**entry(), "from": {"w9": "z", "w0": "", "w1": "a"}}
    assert back(look("b", journal=[begun]), look("b"))["release"] == "a"


def test_other_releases_to_go_back_to_are_named_where_all_hosts_have_them() -> None:
    made = back(look("c", previous="b", releases="abc"), look("c", previous="a", releases="ac"))
    assert made["refusals"][0].startswith("Release b is not on w1. Deploy its code, which brings it to all hosts; name")
    assert "-e rollback_release=ID (on all hosts: a), or take w1 out of" in made["refusals"][0]


def test_an_unfinished_deploy_of_settings_alone_is_gone_back_from_to_the_same_release() -> None:
    begun = {**entry(release="b", began="2025"), "from": {"w0": "b"}}
    made = back(look("b", previous="a", owner="deploy", journal=[begun]))
    assert (made["release"], made["left"], made["began"], made["refusals"]) == ("b", "", "2025", [])
    opened = {**begun, "result": "failed, site open"}
    made = back(look("b", previous="a", journal=[opened]))
    assert (made["release"], made["left"], made["began"]) == ("a", "b", "now"), "users work with those settings"
    deltas = {**begun, "numbers": [2]}
    assert back(look("b", previous="a", owner="deploy", journal=[deltas]))["release"] == "a"


def test_a_rollback_that_died_after_its_record_is_not_done_once_more() -> None:
    gone_back = look("a", previous="`", releases="`ab", rejected="b", journal=[ENDED])
    made = back(gone_back, taken_over=DEAD)
    assert len(made["refusals"]) == 1
    assert f"left behind by {DEAD}, and the last rollback, to release a, has come to its end" in made["refusals"][0]
    assert back(gone_back)["refusals"] == back(gone_back, release="`", taken_over=DEAD)["refusals"] == []
    for told in (entry(finished=True), {**ENDED, "finished": False}):
        assert back({**gone_back, "journal": [told]}, taken_over=DEAD)["refusals"] == []
