# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the timeline makes of a run: seconds blocked per host, what counts as done, the report and its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.delta import Delta
from ansible_collections.lamp.cluster.plugins.plugin_utils._timeline import report, text
from ansible_collections.lamp.cluster.plugins.plugin_utils._timeline.outcome import stated, tone
from ansible_collections.lamp.cluster.plugins.plugin_utils._timeline.recorder import Recorder


class Run:
    """A recorder with a clock that only goes when a task takes its time."""

    def __init__(self, check_mode: bool = False) -> None:
        self.now = 100.0
        self.recorder = Recorder("deploy.yml", check_mode, clock=lambda: self.now)

    def task(self, name: str, module: str, seconds: float, *, check: bool = False, **hosts: dict[str, Any]) -> None:
        """One task; each host's answer comes after ``seconds`` more."""
        self.recorder.task_started(name, name, f"lamp.cluster.{module}", check)
        for host in hosts:
            self.recorder.host_started(name, host)
        for host, answer in hosts.items():
            self.now += seconds
            state = str(answer.get("state", ""))
            outcome = "failed" if answer.get("failed") else "changed" if answer.get("changed") else "ok"
            self.recorder.host_ended(name, host, host, outcome, result=answer, wanted_state=state)

    def document(self, failed: bool = False, told: dict[str, Any] | None = None) -> dict[str, Any]:
        outcome = self.recorder.finish(failed, told or {})
        return report.build(self.recorder.timeline, self.recorder.harvest, outcome, told or {}, {})


ON = {"changed": True, "state": "enabled", "drained": True, "drain_seconds": 0.5}
OFF = {"changed": True, "state": "disabled"}


def test_each_host_has_its_own_seconds_blocked() -> None:
    run = Run()
    run.task("block | Block", "maintenance", 1, web1=ON, web2=ON)
    run.task("unblock | Open", "maintenance", 2, web1=OFF, web2={**OFF, "blocked_seconds": 3.5})
    blocked = run.document()["blocked"]
    assert {window["host"]: window["seconds"] for window in blocked["hosts"]} == {"web1": 4.0, "web2": 3.5}
    assert [window["drain_seconds"] for window in blocked["hosts"]] == [0.5, 0.5]


def test_a_host_that_is_still_blocked_is_told() -> None:
    run = Run()
    run.task("block | Block", "maintenance", 1, web1=ON, web2=ON)
    run.task("unblock | Open", "maintenance", 1, web1=OFF)
    document = run.document(failed=True)
    assert document["result"]["outcome"] == "failed, site blocked"
    assert [window["state"] for window in document["blocked"]["hosts"]] == ["open", "blocked"]


def test_a_phase_of_the_next_play_or_batch_has_its_own_line() -> None:
    run = Run()
    shown = []
    for batch in ({"web1": {"changed": False}}, {"web2": {"changed": False}}):
        run.recorder.play_started()
        run.task("smoke | Ask the site", "release", 1, check=False, **batch)
        shown += [phase.places for phase in run.recorder.phases_to_show(everything=True)]
    assert shown == [["web1"], ["web2"]]


def test_columns_stand_beneath_each_other_whatever_the_script() -> None:
    run = Run()
    for name in ("stage | Build", "switch | 日本語"):
        run.task(name, "release", 1, web1={"changed": True})
    latin, wide = (text.phase_line(phase, 0.0, 80)[0] for phase in run.recorder.phases_to_show(everything=True))
    assert wide.index("web1") + 3 == latin.index("web1")  # each of the three is two columns wide
    assert text.fit(wide, 80) == wide


def test_what_a_deploy_looks_at_in_check_mode_is_not_what_it_did() -> None:
    planned = {"applied": [{"number": 1, "name": "1.sql", "statements": 1}], "changed": True}
    run = Run()
    run.task("plan | Look", "dbdeploy", 1, check=True, web1=planned)
    run.task("deltas | Apply", "dbdeploy", 1, web1=planned)
    assert [delta["verb"] for delta in run.document()["deltas"]] == ["applied"]
    run = Run(check_mode=True)
    run.task("plan | Look", "dbdeploy", 1, check=True, web1=planned)
    assert [delta["verb"] for delta in run.document()["deltas"]] == ["would be applied"]


def test_the_page_draws_each_host_and_escapes_what_hosts_say() -> None:
    run = Run()
    run.task("block | Block", "maintenance", 1, web1=ON, web2=ON)
    run.task("deltas | Apply", "dbdeploy", 1, web1={"failed": True, "msg": "<script>alert(1)</script>"})
    page = report.as_html(run.document(failed=True))
    assert page.count('<div class="row"><div class="host">web1') >= 1
    assert page.count('<div class="row"><div class="host">web2') >= 1
    assert "&lt;script&gt;" in page
    assert "<script" not in page


@pytest.mark.parametrize(
    ("custom", "outcome"),
    [
        ({"_run": {"deploy": {"result": "failed, undone"}}}, "failed, undone"),
        ({"web1": {"deploy_outcome": "deployed"}}, "deployed"),
        ({"_run": {"status": {"verdict": "all is well"}}}, "status: all is well"),
        ({}, None),
    ],
)
def test_the_deploy_says_its_outcome_itself(custom: dict[str, Any], outcome: str | None) -> None:
    assert stated(custom).get("outcome") == outcome


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("failed, undone", "bad"),
        ("nothing to do", "quiet"),
        ("rolled back", "good"),
        ("status: all is well", "good"),
        ("status: a deploy is running", "quiet"),
        ("status: a deploy is unfinished", "bad"),
    ],
)
def test_the_tone_of_an_outcome(outcome: str, expected: str) -> None:
    assert tone(outcome) == expected


def test_a_delta_that_drops_sessions_is_told_as_such() -> None:
    delta = Delta(1, "001_login.sql", "-- @DROP-SESSIONS\nDO 1;\n")
    run = Run()
    run.task("deltas | Apply", "dbdeploy", 1, db1={"applied": [delta.summary()], "changed": True})
    document = run.document()
    assert run.recorder.timeline.phases[0].notes == [("    1 001_login.sql · 1 statement · drops sessions", "detail")]
    assert "<td>applied, drops sessions</td>" in report.as_html(document)


def test_a_report_is_private_and_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "deploy.json"
    report.write(str(path), "one\n")
    report.write(str(path), "two, of the host \udc80\n")
    assert path.read_text() == "two, of the host \\udc80\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
