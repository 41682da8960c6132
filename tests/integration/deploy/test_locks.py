# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy does that loses its lock to another, or a host to its own hook; where a load balancer blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.deploy.conftest import Controller, lose
from tests.integration.maintenance.conftest import TOKEN, BlockableSite


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    with BlockableSite("haproxy") as site:
        yield Controller(site, tmp_path_factory.mktemp("controller"))


def hook(controller: Controller, name: str, *tasks: dict[str, Any]) -> str:
    """A file with these tasks."""
    path = controller.folder / f"{name}.yml"
    path.write_text(json.dumps(tasks))
    return str(path)


def taken(controller: Controller, name: str) -> str:
    """A hook in which bob takes the lock of an application by force."""
    holder = {"user": "bob", "controller": "deploy2", "pid": 4711, "since": "2026-11-21T03:00:00Z"}
    lock = {"content": json.dumps(holder), "dest": f"{controller.folder}/locks/{name}.json"}
    return hook(controller, "take", {"ansible.builtin.copy": lock, "run_once": True})


@pytest.mark.parametrize(
    ("moment", "mode", "status"),
    [
        ("before_switch", "window", 503),
        pytest.param("before_block", "window", 200, marks=pytest.mark.long),
        pytest.param("before_switch", "auto", 200, marks=pytest.mark.long),
    ],
)
def test_a_deploy_whose_lock_was_taken_by_force_switches_and_opens_nothing(
    controller: Controller, moment: str, mode: str, status: int
) -> None:
    name = f"lost-{moment}-{mode}"
    task = controller.deploy(name, "1", deploy_mode=mode, deploy_hooks={moment: taken(controller, name)})
    code, output = controller.run([controller.play([task])])
    assert code != 0
    assert "was taken from this run by force, and is held by bob on deploy2 (process 4711)" in output, output
    assert "Nothing was put back, and nothing opened." in output
    assert [(journal[-1]["result"], journal[-1]["finished"]) for journal in controller.journals(name)] == [
        ("failed, lock lost", False)
    ] * 2
    assert not (controller.folder / "a" / name / "current").exists()
    assert controller.site.get().status == status
    assert json.loads((controller.folder / "locks" / f"{name}.json").read_text())["user"] == "bob"
    controller.site.maintenance("disabled", force=True)


@pytest.mark.parametrize("ends", ["end_host", pytest.param("end_role", marks=pytest.mark.long)])
def test_a_host_that_a_hook_sends_away_fails_the_deploy_and_what_the_hook_rescued_is_not_blamed(
    controller: Controller, ends: str
) -> None:
    rescued = {
        "block": [{"ansible.builtin.fail": {"msg": "an old story"}, "when": "inventory_hostname == 'a'"}],
        "rescue": [{"ansible.builtin.debug": {"msg": "it goes on"}}],
    }
    sent = {"ansible.builtin.meta": ends, "when": "inventory_hostname == 'b'"}
    hooks = {"before_block": hook(controller, "rescue", rescued), "before_switch": hook(controller, "send", sent)}
    task = controller.deploy(ends, "1", deploy_mode="window", deploy_hooks=hooks)
    code, output = controller.run([controller.play([task])])
    assert code != 0
    told = controller.journals(ends)[0][-1]
    assert told["failure"].startswith("a: b did not come through the hook before_switch, with the others."), output
    assert not (controller.folder / "a" / ends / "current").exists()


@pytest.mark.long
@pytest.mark.parametrize("lost", ["map", "balancer"])
def test_deltas_and_drops_wait_for_a_block_that_the_load_balancer_still_has(controller: Controller, lost: str) -> None:
    place = f"{controller.site.variables['maintenance_state_dir']}/shop/haproxy.map"
    emptied = [{"ansible.builtin.copy": {"content": "", "dest": place}, "run_once": True}]
    hooks = {"after_block": hook(controller, lost, *(emptied if lost == "map" else lose("lb")))}
    store = {"session_purge_store": "files", "session_purge_save_path": str(controller.folder / "sessions")}
    (controller.folder / "sessions").mkdir(exist_ok=True)
    (controller.folder / "sessions" / "sess_a").touch()
    code, output = controller.run(
        [controller.play([controller.deploy(lost, "1", tagged=True, deploy_hooks=hooks, **store)])]
    )
    assert code != 0
    failure = controller.journals(lost)[0][-1]["failure"]
    assert ("the block of shop is gone" if lost == "map" else "lb could not be reached") in failure, output
    assert (controller.folder / "sessions" / "sess_a").exists()
    controller.site.maintenance("disabled", force=True)


@pytest.mark.long
def test_what_the_command_line_says_of_the_block_counts_for_all_of_the_deploy_or_is_refused(
    controller: Controller,
) -> None:
    smoke = [{"path": "/", "contains": "Shop"}]
    plays = [controller.play([controller.deploy("own", "1", deploy_mode="window", deploy_smoke_tests=smoke)])]
    code, output = controller.run(plays, "-e", "maintenance_owner=ann")
    assert (code != 0, "The command line gives maintenance_owner as ann" in output) == (True, True), output
    code, output = controller.run(plays, "-e", f"maintenance_bypass_token={TOKEN}")
    assert code == 0, output
    results = ["failed, nothing changed", "deployed"]
    assert [[entry["result"] for entry in journal] for journal in controller.journals("own")] == [results] * 2
    assert controller.site.get().status == 200
