# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and folders that outlive a crash: whose they are for, and what is left of writes that were killed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils import _durable


@pytest.fixture()
def _hardened() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_hardened")
def test_new_folders_can_be_entered_by_all_and_old_ones_stay_as_they_are(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    _durable.make_folder(closed / "lib" / "deploys")
    _durable.make_folder(closed / "lib" / "deploys")
    made = [closed, closed / "lib", closed / "lib" / "deploys"]
    assert [oct(folder.stat().st_mode & 0o777) for folder in made] == ["0o700", "0o755", "0o755"]
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        _durable.make_folder(tmp_path / "file" / "below")
    with pytest.raises(FileExistsError):
        _durable.make_folder(tmp_path / "file")


def test_what_a_killed_write_left_goes_with_a_later_one_of_the_same_file(tmp_path: Path) -> None:
    names = [".writing-state-dead", ".writing-state-alive", ".writing-other-dead"]
    for name in names:
        (tmp_path / name).touch()
        if name.endswith("dead"):
            os.utime(tmp_path / name, (0, time.time() - 2 * 86400))
    _durable.write(tmp_path / "state", "text")
    assert sorted(os.listdir(tmp_path)) == sorted([*names[1:], "state"])
