# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""deploy_lock: who gets it, from whom it is taken over, and from whom it is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.action.deploy_lock import controller, living
from ansible_collections.lamp.cluster.plugins.module_utils._deploy_lock import DeployLock, see_kept
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

from tests.support.modules import COLLECTIONS, ModuleResult, run_here, run_module

ANN: dict[str, Any] = {
    "user": "ann", "controller": "deploy1", "machine": "m1", "boot": "b1", "namespace": "pid:[1]",
    "whole_machine": True, "pid": 10, "started": "100", "since": "2026-11-21T03:00:00Z",
    "alive": {"10": "100", "20": "200"},
}  # fmt: skip
BOB = {**ANN, "user": "bob", "pid": 20, "started": "200"}


def lock(folder: Path, asker: dict[str, Any], state: str = "held", **options: Any) -> ModuleResult:
    check, diff = options.pop("check", False), options.pop("diff", False)
    given = {"name": "shop", "path": str(folder), "state": state, "asker": asker, **options}
    return run_module("deploy_lock", given, check=check, diff=diff)


def test_one_holds_it_until_it_is_free(tmp_path: Path) -> None:
    assert lock(tmp_path, ANN)["holder"]["user"] == "ann"
    assert not lock(tmp_path, ANN).get("failed")  # the same run again
    refused = lock(tmp_path, BOB)
    assert (refused["error_code"], refused["holder"]["user"]) == ("deploy_lock_held", "ann")
    assert "deploy_force_lock=true" in refused["msg"]
    assert lock(tmp_path, BOB, "free")["error_code"] == "deploy_lock_held"
    assert lock(tmp_path, ANN, "free")["holder"] == {}
    assert lock(tmp_path, BOB)["holder"]["user"] == "bob"


def test_of_many_at_once_one_gets_it(tmp_path: Path) -> None:
    askers = [{**ANN, "pid": number, "alive": {str(pid): "100" for pid in range(8)}} for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda asker: lock(tmp_path, asker), askers))
    assert sorted(result.get("error_code", "held") for result in results) == ["deploy_lock_held"] * 7 + ["held"]


@pytest.mark.parametrize(
    ("asker", "dead"),
    [
        ({**BOB, "alive": {"20": "200"}}, True),
        ({**BOB, "alive": {"10": "101", "20": "200"}}, True),  # its number is another process now
        ({**BOB, "boot": "b2"}, True),
        ({**BOB, "boot": "b2", "whole_machine": False}, False),
        ({**BOB, "alive": {}, "namespace": "pid:[2]"}, False),
        ({**BOB, "alive": None}, False),
        ({**BOB, "alive": None, "boot": "b2"}, True),
        ({**BOB, "alive": {}, "machine": "m2"}, False),
        ({**BOB, "alive": {}, "controller": "deploy2"}, False),
    ],
    ids=[
        "gone",
        "number used again",
        "booted",
        "a container",
        "out of sight",
        "hidden",
        "hidden, booted",
        "other machine",
        "other controller",
    ],
)
def test_only_what_is_surely_dead_is_taken_over(tmp_path: Path, asker: dict[str, Any], dead: bool) -> None:
    lock(tmp_path, ANN)
    plan = lock(tmp_path, asker, check=True, diff=True)
    done = lock(tmp_path, asker, diff=True)
    assert {key: plan.get(key) for key in ("changed", "diff", "stale_taken", "error_code")} == {
        key: done.get(key) for key in ("changed", "diff", "stale_taken", "error_code")
    }
    assert bool(done.get("failed")) != dead
    if dead:
        assert "ann on deploy1 (process 10)" in done["stale_taken"]
        assert not lock(tmp_path, asker)["changed"]


def test_check_mode_takes_nothing(tmp_path: Path) -> None:
    assert not lock(tmp_path / "new", ANN, check=True)["changed"]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("content", ["", "{", "[1]", '"ann"'])
def test_a_lock_that_names_nobody_is_not_taken_for_a_free_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "shop.json").write_text(content)
    for state in ("held", "free"):
        refused = lock(tmp_path, ANN, state)
        assert refused["error_code"] == "deploy_lock_damaged"
        assert f"{tmp_path}/shop.json" in refused["msg"]
        assert (tmp_path / "shop.json").read_text() == content
    taken = lock(tmp_path, ANN, force=True)
    assert (taken["changed"], taken["holder"]["user"]) == (True, "ann")
    assert json.loads((tmp_path / "shop.json").read_text())["user"] == "ann"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"name": "../etc/passwd"}, "deploy_lock_bad_name"),
        ({"path": "/proc/nowhere"}, "deploy_lock_io"),
        ({"asker": None}, "deploy_lock_no_controller"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, options: dict[str, Any], code: str) -> None:
    given = {"name": "shop", "path": str(tmp_path), "asker": ANN, **options}
    assert run_module("deploy_lock", given)["error_code"] == code


def test_who_has_no_name_in_a_container_can_deploy_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 1000680000)
    assert controller()["user"] == "uid 1000680000"


def test_where_the_processes_of_others_are_hidden_none_is_said_to_be_dead() -> None:
    """As a user whom hidepid keeps from seeing those of root, such as this process."""
    code = "import json, os; from ansible_collections.lamp.cluster.plugins.action.deploy_lock import living"
    run = f"{code}; living(); os.setgid(65534); os.setgroups([]); os.setuid(65534); print(json.dumps(living()))"
    seen = {}
    for hidden in ("1", "2"):
        mounted = f'mount -t proc -o hidepid={hidden} proc /proc && "$@" && true'
        command = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", mounted, "sh", sys.executable, "-c", run]
        done = subprocess.run(command, cwd=COLLECTIONS, capture_output=True, text=True, check=True)
        seen[hidden] = json.loads(done.stdout)
    assert seen == {"1": None, "2": None}
    assert living()


def test_the_lock_excludes_and_a_dead_holder_is_taken_over(tmp_path: Path) -> None:
    given = {"name": "shop", "path": str(tmp_path)}
    first = run_here("deploy_lock", given)
    assert (first["holder"]["user"], first["stale_taken"]) == ("root", "")
    again = run_here("deploy_lock", given)  # by another process, as the first one has ended
    assert "process" in again["stale_taken"]
    other = tmp_path / "shop.json"
    held = json.loads(other.read_text())
    other.write_text(json.dumps({**held, "boot": "an earlier one"}))
    assert "process" in run_here("deploy_lock", given)["stale_taken"]
    for elsewhere in ({"machine": "another of the same name"}, {"namespace": "pid:[1]"}, {"controller": "elsewhere"}):
        other.write_text(json.dumps({**held, **elsewhere, "user": "ann"}))
        assert run_here("deploy_lock", given)["error_code"] == "deploy_lock_held", elsewhere
    refused = run_here("deploy_lock", given)
    assert (refused["error_code"], "ann on elsewhere" in refused["msg"]) == ("deploy_lock_held", True)
    assert run_here("deploy_lock", {**given, "state": "free"})["error_code"] == "deploy_lock_held"
    assert run_here("deploy_lock", {**given, "state": "free", "force": True})["holder"] == {}
    assert not other.exists()
    assert run_here("deploy_lock", {**given, "name": "../shop"})["error_code"] == "deploy_lock_bad_name"


def test_who_holds_it_still_is_asked_of_the_shell_and_changes_nothing(tmp_path: Path) -> None:
    lock = DeployLock(str(tmp_path), "shop")
    given = {"name": "shop", "path": str(tmp_path), "state": "kept"}
    lost = run_here("deploy_lock", given)
    assert (lost["error_code"], "nobody holds it any more" in lost["msg"]) == ("deploy_lock_lost", True)
    assert list(tmp_path.iterdir()) == []
    lock.write(ANN)
    lost = run_here("deploy_lock", given)
    assert (lost["error_code"], "held by ann on deploy1" in lost["msg"]) == ("deploy_lock_lost", True)
    assert lock.holder() == ANN
    lock.path.unlink()
    lock.path.mkdir()
    assert run_here("deploy_lock", given)["error_code"] == "deploy_lock_io"
    see_kept(lock, ANN, {**ANN, "since": "later"})
    with pytest.raises(LampError, match="held by bob"):
        see_kept(lock, BOB, ANN)


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_a_folder_of_locks_that_cannot_be_is_named(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "file").touch()
    failed = run_here("deploy_lock", {"name": "shop", "path": str(tmp_path / "file" / "locks")}, *options)
    assert failed["error_code"] == "deploy_lock_io"
    assert "file/locks/shop.json" in failed["msg"]
