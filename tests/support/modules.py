# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module as Ansible runs it on a host: its file, a JSON argument, its JSON answer."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COLLECTIONS = ROOT / ".cache" / "collections"
BIN = Path(sys.executable).parent  # the virtual environment that runs the tests
MODULE_PYTHON = os.environ.get("LAMP_MODULE_PYTHON") or sys.executable  # what runs modules, as on a host of its own


class ModuleResult(dict[str, Any]):
    """What the module answered; ``result.output`` is all it printed, for tests that look for secrets."""

    output: str = ""


def start_module(
    name: str, arguments: dict[str, Any], *, check: bool = False, diff: bool = False
) -> subprocess.Popen[str]:
    """The process of ``lamp.cluster.<name>``, for tests that kill it."""
    internal = {"_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_remote_tmp": "/tmp"}  # noqa: S108 (Ansible's own)
    process = subprocess.Popen(
        [MODULE_PYTHON, "-m", f"ansible_collections.lamp.cluster.plugins.modules.{name}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=COLLECTIONS,
    )  # fmt: skip
    assert process.stdin
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, **internal}}))
    process.stdin.close()
    process.stdin = None  # else communicate() writes to it
    return process


def run_module(name: str, arguments: dict[str, Any], *, check: bool = False, diff: bool = False) -> ModuleResult:
    """The answer of ``lamp.cluster.<name>`` to ``arguments``; a failure is an answer with ``failed: true``."""
    out, err = start_module(name, arguments, check=check, diff=diff).communicate()
    lines = [line for line in out.splitlines() if line.startswith("{")]
    if not lines:
        raise AssertionError(f"{name} did not answer: {out}{err}")
    result = ModuleResult(json.loads(lines[-1]))
    result.output = out + err
    return result


def run_ansible(host: str, inventory: str, module: str, arguments: dict[str, Any], *options: str) -> dict[str, Any]:
    """The result of ``lamp.cluster.<module>``, its action plugin included, on one host of an inventory."""
    done = subprocess.run(
        [
            str(BIN / "ansible"), host, "-i", inventory, "-m", f"lamp.cluster.{module}",
            "-a", json.dumps(arguments), *options,
            *(["-vvv"] if "--diff" in options else []),  # only then it shows the diff
        ],
        capture_output=True, text=True, check=False,
        env={
            **os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.oneline", "ANSIBLE_NOCOLOR": "1",
        },
    )  # fmt: skip
    answers = re.findall(r"^\S+ \| [A-Z!]+.*? => (\{.*\})$", done.stdout, re.MULTILINE)
    assert answers, done.stdout + done.stderr
    return dict(json.loads(answers[-1]))


def run_here(module: str, arguments: dict[str, Any], *options: str) -> dict[str, Any]:
    """As `run_ansible`, on this machine and by the Python of the tests."""
    interpreter = f"ansible_python_interpreter={sys.executable}"
    return run_ansible("localhost", "localhost,", module, arguments, "-c", "local", "-e", interpreter, *options)
