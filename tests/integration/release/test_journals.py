# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the journals of deploys say of releases: which one to go back to, and which must stay."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._deploy_record import Journal
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release import journals, prune
from ansible_collections.lamp.cluster.plugins.module_utils._release.layout import Layout
from ansible_collections.lamp.cluster.plugins.module_utils._release.state import State

from tests.integration.release.support import staged_and_live


def application(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> tuple[list[str], Layout, State]:
    """The names of ``count`` releases that were live in turn, and where they are; the journals are in ``folder``."""
    names, layout = staged_and_live(source, folder / "app", count), Layout(str(folder / "app"))
    monkeypatch.setattr(journals, "FOLDER", str(folder))
    return names, layout, State(layout)


def test_what_an_unfinished_deploy_would_go_back_to_stays(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many attempts were live since."""
    names, layout, state = application(source, tmp_path, monkeypatch, 4)
    for finished, superfluous in ((False, names[1:2]), (True, names[:2])):
        entry = {"id": "1", "release": names[3], "from": {"web1": names[0]}, "finished": finished}
        Journal(str(tmp_path), "shop").write([{"id": "0", "from": {"web1": names[1]}, "finished": False}, entry])
        assert prune.superfluous(layout, state, 1) == sorted(superfluous)
        with contextlib.nullcontext() if finished else pytest.raises(LampError, match="the one to go back to"):
            prune.check_removable(layout, state, names[0])


def test_a_release_whose_deploy_failed_is_none_to_go_back_to(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it was live: until its tests failed, or until the one that mended it."""
    names, _layout, state = application(source, tmp_path, monkeypatch, 3)

    def previous(*results: tuple[str, str, str]) -> str | None:
        entries = [{"id": str(number), "kind": kind, "release": names[1], "result": result, "from": {"web1": live}}
                   for number, (kind, result, live) in enumerate(results)]  # fmt: skip
        Journal(str(tmp_path), "shop").write(entries)
        return state.previous(names[2])

    failed, good = ("deploy", "failed, put back", names[0]), ("deploy", "deployed", names[0])
    assert previous(good) == names[1]
    assert previous(failed) == previous(good, failed) == names[0]
    assert previous(failed, good) == previous(failed, ("rollback", "rolled back", "")) == names[1]
    assert previous(good, ("deploy", "failed, put back", names[1])) == names[1]  # live before it, and after
    assert (
        previous(failed, ("deploy", "failed, site open", names[0])) == names[1]
    )  # only the end of it failed: users had it


def test_a_deploy_tells_of_its_own_application_and_only_if_it_changed_anything(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one on the same host may have the same release."""
    names, layout, state = application(source, tmp_path, monkeypatch, 3)
    failed = {"id": "1", "kind": "deploy", "release": names[1], "result": "failed", "finished": False,
              "from": {"web1": names[0]}}  # fmt: skip
    for path, goes_back_to in ((f"{tmp_path}/other", set()), (f"{tmp_path}/app/", {names[0]})):
        Journal(str(tmp_path), "other").write([{**failed, "path": path}])
        assert state.previous(names[2]) == (names[0] if goes_back_to else names[1])
        assert journals.gone_back_to(layout.root) == goes_back_to
    stopped = {"id": "2", "kind": "deploy", "release": names[1], "result": "failed, nothing changed", "from": {}}
    Journal(str(tmp_path), "other").write([stopped])
    assert state.previous(names[2]) == names[1]
    Journal(str(tmp_path), "other").write([failed, stopped])
    assert journals.gone_back_to(layout.root) == {names[0]}, "what was unfinished still is"
