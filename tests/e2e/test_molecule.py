# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The molecule scenarios, on a bed of their own that is gone before the other tests boot theirs."""

from __future__ import annotations

import os
import subprocess

from tests.support.modules import BIN, ROOT


def test_all_scenarios_pass() -> None:
    done = subprocess.run(
        [str(BIN / "molecule"), "test", "--all"], cwd=ROOT, text=True, check=False,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
