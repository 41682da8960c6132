# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""deploy_record: the journal of deploys."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.modules import ModuleResult, run_module


def record(folder: Path, entry: dict[str, Any], **options: Any) -> ModuleResult:
    check, diff = options.pop("check", False), options.pop("diff", False)
    given = {"name": "shop", "path": str(folder), "entry": entry, **options}
    return run_module("deploy_record", given, check=check, diff=diff)


def test_check_mode_says_what_the_run_does_and_a_second_run_does_nothing(tmp_path: Path) -> None:
    entry = {"id": "1", "release": "abc"}
    plan = record(tmp_path, entry, check=True, diff=True)
    assert not list(tmp_path.iterdir())
    done = record(tmp_path, entry, diff=True)
    assert (plan["changed"], plan["deploys"], plan["diff"]) == (True, done["deploys"], done["diff"])
    again = record(tmp_path, entry)
    assert (again["changed"], again["deploys"]) == (False, [entry])


def test_entries_come_oldest_first_and_only_the_last_are_kept(tmp_path: Path) -> None:
    results = [record(tmp_path, {"id": str(number)}, keep=3) for number in range(5)]
    assert [entry["id"] for entry in results[-1]["deploys"]] == ["2", "3", "4"]


def test_the_same_id_replaces_its_entry(tmp_path: Path) -> None:
    record(tmp_path, {"id": "1", "result": "failed"})
    record(tmp_path, {"id": "2"})
    result = record(tmp_path, {"id": "1", "result": "deployed"})
    assert result["deploys"] == [{"id": "1", "result": "deployed"}, {"id": "2"}]


def test_deploys_in_a_row_that_changed_nothing_push_out_no_other(tmp_path: Path) -> None:
    record(tmp_path, {"id": "1", "result": "failed, site blocked"})
    for number in ("2", "3", "4"):
        result = record(tmp_path, {"id": number, "result": "failed, nothing changed"}, keep=2)
        assert [entry["id"] for entry in result["deploys"]] == ["1", number]
    result = record(tmp_path, {"id": "5", "result": "deployed"})
    assert [entry["id"] for entry in result["deploys"]] == ["1", "4", "5"]


def test_a_line_that_a_crash_cut_short_is_passed_over(tmp_path: Path) -> None:
    cut = '{"id": "2", "by": "Zo\u00eb'.encode()[:-1]
    (tmp_path / "shop.jsonl").write_bytes(b'{"id": "1"}\n{"result": "whose?"}\n[1]\n' + cut)
    assert record(tmp_path, {"id": "3"})["deploys"] == [{"id": "1"}, {"id": "3"}]


def test_of_many_at_once_none_is_lost(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: record(tmp_path, {"id": str(number)}), range(16)))
    assert len(record(tmp_path, {"id": "0"})["deploys"]) == 16


def test_an_id_that_is_a_number_can_be_compared_with_others(tmp_path: Path) -> None:
    (tmp_path / "shop.jsonl").write_text('{"id": 1}\n')
    record(tmp_path, {"id": 2})
    assert [entry["id"] for entry in record(tmp_path, {"id": "1", "note": "x"})["deploys"]] == ["1", "2"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"entry": {"id": "1"}, "name": "../etc/passwd"}, "deploy_record_bad_name"),
        ({"entry": {"release": "abc"}}, "deploy_record_no_id"),
        ({"entry": {"id": "1"}, "keep": 0}, "deploy_record_bad_keep"),
        ({"entry": {"id": "1"}, "path": "/proc/nowhere"}, "deploy_record_io"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, options: dict[str, Any], code: str) -> None:
    result = run_module("deploy_record", {"name": "shop", "path": str(tmp_path), **options})
    assert result["error_code"] == code
