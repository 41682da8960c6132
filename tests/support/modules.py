# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module as Ansible runs it on a host: its file, a JSON argument, its JSON answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COLLECTIONS = ROOT / ".cache" / "collections"


class ModuleResult(dict[str, Any]):
    """What the module answered; ``result.output`` is all it printed, for tests that look for secrets."""

    output: str = ""


def run_module(name: str, arguments: dict[str, Any], *, check: bool = False, diff: bool = False) -> ModuleResult:
    """The answer of ``lamp.cluster.<name>`` to ``arguments``; a failure is an answer with ``failed: true``."""
    internal = {"_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_remote_tmp": "/tmp"}  # noqa: S108 (Ansible's own)
    process = subprocess.run(
        [sys.executable, "-m", f"ansible_collections.lamp.cluster.plugins.modules.{name}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, **internal}}),
        capture_output=True,
        text=True,
        check=False,
        cwd=COLLECTIONS,
    )
    lines = [line for line in process.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise AssertionError(f"{name} did not answer: {process.stdout}{process.stderr}")
    result = ModuleResult(json.loads(lines[-1]))
    result.output = process.stdout + process.stderr
    return result
