# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""deploy_info: what it tells of a host, and of what it cannot tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.modules import ModuleResult, run_module


@pytest.fixture()
def root(tmp_path: Path) -> Path:
    """An application with the releases a (bad) and b (live), and one that was cut off while it was staged."""
    records = tmp_path / "releases" / ".lamp"
    records.mkdir(parents=True)
    for name, numbers in (("a", ("001", "2")), ("b", ("001", "2", "30")), ("half", ())):
        (tmp_path / "releases" / name / "db").mkdir(parents=True)
        for number in numbers:
            (tmp_path / "releases" / name / "db" / f"{number}_x.sql").write_text("")
        if numbers:
            (records / f"{name}.json").write_text(json.dumps({"staged_at": "2026-11-21"}))
    rejected = {"a": {"reason": "rolled back", "at": "now"}}
    (records / "state.json").write_text(json.dumps({"schema": 1, "history": ["a", "b"], "rejected": rejected}))
    (tmp_path / "current").symlink_to("releases/b")
    (tmp_path / "journal").mkdir()
    entries = "".join(json.dumps({"id": str(number)}) + "\n" for number in range(30))
    (tmp_path / "journal" / "shop.jsonl").write_text(entries)
    return tmp_path


def status(root: Path, **options: str) -> ModuleResult:
    given = {
        "site": "",
        "state_dir": str(root / "state"),
        "journal_path": str(root / "journal"),
        "deltas": "db",
        **options,
    }
    return run_module("deploy_info", {"name": "shop", "path": str(root), **given})


def test_it_tells_releases_block_and_journal(root: Path) -> None:
    told = status(root)
    assert (told["changed"], told["problems"], told["block"]) == (False, [], {})
    assert (told["current"], told["current_whole"], told["previous"]) == ("b", True, "")
    assert [(known["release"], known["deltas"], known["rejected"]) for known in told["releases"]] == [
        ("a", [1, 2], "rolled back"),
        ("b", [1, 2, 30], ""),
    ]
    assert [entry["id"] for entry in told["journal"]] == [str(number) for number in range(10, 30)]


def test_a_lock_that_lies_there_is_told_with_its_holder(root: Path) -> None:
    assert status(root, lock_path=str(root / "locks"))["lock"] == {}
    (root / "locks").mkdir()
    holder = {"user": "ann", "controller": "deploy2", "pid": 7, "since": "today"}
    for content, by in ((json.dumps(holder), "ann on deploy2 (process 7) since today"), ("", "somebody unknown")):
        (root / "locks" / "shop.json").write_text(content)
        told = status(root, lock_path=str(root / "locks"))["lock"]
        assert told == {"by": by, "file": f"{root}/locks/shop.json"}


def test_a_link_that_leads_nowhere_is_told(root: Path) -> None:
    (root / "current").unlink()
    (root / "current").symlink_to("releases/gone")
    told = status(root)
    assert (told["current"], told["current_whole"]) == ("gone", False)


def test_what_cannot_be_told_hides_nothing_else(root: Path) -> None:
    told = status(root, site="shop")
    assert "This host cannot block the site" in told["problems"][0]
    assert (told["current"], told["block"]) == ("b", {})
    (root / "state" / "shop").mkdir(parents=True)
    state = {"owner": "deploy", "since": 5, "nonce": "ab", "message": "Soon", "retry_after": 9, "token": ""}
    (root / "state" / "shop" / "enabled").write_text(json.dumps(state))
    assert status(root, site="shop")["block"] == {"owner": "deploy", "since": 5}
    (root / "releases" / ".lamp" / "state.json").write_text("{")
    told = status(root, site="shop")
    assert [len(told["problems"]), told["current"], len(told["journal"])] == [2, "", 20]


OPTIONS = {
    "backend": "nginx", "probe_url": "http://127.0.0.1:1/", "probe_address": "127.0.0.1", "status_port": 1,
    "haproxy_socket": "/x", "haproxy_backends": [], "config_files": ["/x"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("enabled", "", "is not as a block was written"),
        ("enabled", '{"owner": "me", "since": 0}', "is not as a block was written"),
        ("options.json", "", "is not as the role wrote it"),
        ("options.json", json.dumps({**OPTIONS, "backend": "caddy"}), "is not as the role wrote it"),
        ("options.json", json.dumps({**OPTIONS, "probe_url": None}), "is not as the role wrote it"),
    ],
)
def test_a_file_that_a_crash_a_hand_or_a_newer_version_left_is_a_problem(
    root: Path, name: str, content: str, said: str
) -> None:
    (root / "state" / "shop").mkdir(parents=True)
    (root / "state" / "shop" / name).write_text(content)
    told = status(root, site="shop")
    assert (told["current"], said in "".join(told["problems"])) == ("b", True), told["problems"]
