# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the lock who asks: this run of ansible-playbook, and which processes of this controller live."""

from __future__ import annotations

import getpass
import os
import socket
import time
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase


def started(pid: int) -> str:
    """When a process began, in ticks since the boot, which tells it from a later one with its number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def controller() -> dict[str, t.Any]:
    """This run: a worker's parent is ansible-playbook itself."""
    pid = os.getppid()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        alive = {entry: started(int(entry)) for entry in os.listdir("/proc") if entry.isdigit()}
    except OSError:
        boot, alive = "", {str(pid): ""}
    return {
        "user": getpass.getuser(),
        "controller": socket.gethostname(),
        "pid": pid,
        "started": started(pid),
        "boot": boot,
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "alive": alive,
    }


class ActionModule(ActionBase):
    """The module with ``asker`` filled in."""

    TRANSFERS_FILES = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """The module's result."""
        super().run(tmp, task_vars)
        return dict(self._execute_module(module_args={**self._task.args, "asker": controller()}, task_vars=task_vars))
