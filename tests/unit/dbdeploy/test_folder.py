# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of deltas as it is found: what cannot be read is named, nothing is waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy import folder
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError


def refusal(path: Path, encoding: str = "utf-8") -> tuple[str, str]:
    with pytest.raises(LampError) as raised:
        folder.read(path, encoding)
    return raised.value.code, raised.value.message


def test_only_deltas_are_opened(tmp_path: Path) -> None:
    (tmp_path / "2_b.sql").write_bytes("é".encode("latin-1"))
    (tmp_path / "README").write_bytes(b"\xff")
    (tmp_path / "1_a.sql").mkdir()
    assert folder.read(tmp_path, "latin-1") == [("2_b.sql", "é"), ("README", "")]


@pytest.mark.parametrize("kind", ["pipe", "link", "text"])
def test_a_delta_that_cannot_be_read_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "1_a.sql"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("nowhere")
    else:
        path.write_bytes(b"\xff")
    code, message = refusal(tmp_path)
    assert (code, str(path) in message) == ("dbdeploy_unreadable", True)


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", denied)
    code, message = refusal(tmp_path)
    assert (code, str(tmp_path) in message) == ("dbdeploy_unreadable", True)
    assert refusal(tmp_path / "none")[0] == "dbdeploy_no_folder"
