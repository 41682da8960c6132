# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the shell of a host takes for a block that stands."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.variables import evaluated

FLAG = json.dumps({"owner": "deploy", "token": "", "nonce": "abcd"})


@pytest.mark.parametrize(
    ("backend", "flag", "page", "stands"),
    [
        ("apache", None, None, False),
        ("apache", FLAG, None, True),
        ("haproxy", FLAG, "nonce abcd\nretry_after 5\n", True),
        ("haproxy", None, "nonce abcd\n", False),
        ("haproxy", FLAG, "", False),
        ("haproxy", FLAG, None, False),
        ("haproxy", FLAG, "nonce abce\n", False),
    ],
)
def test_a_block_stands_while_all_of_it_is_there(
    tmp_path: Path, backend: str, flag: str | None, page: str | None, stands: bool
) -> None:
    folder = tmp_path / "the shop"
    folder.mkdir()
    for name, text in (("enabled", flag), ("haproxy.map", page)):
        if text is not None:
            (folder / name).write_text(text)
    given = {"maintenance_state_dir": str(tmp_path), "maintenance_name": "the shop", "maintenance_backend": backend}
    command = evaluated("maintenance", "maintenance__stands", given)
    asked = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (asked.returncode, asked.stdout) == ((0, "") if stands else (1, "the block of the shop is gone\n"))
