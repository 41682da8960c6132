# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the lock who asks: this run of ansible-playbook, and which processes of this controller live."""

from __future__ import annotations

import getpass
import os
import shlex
import socket
import time
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible_collections.lamp.cluster.plugins.module_utils._deploy_lock import (
    FOLDER,
    DeployLock,
    named,
    see_kept,
    shown,
)
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

FIRST_NAMESPACE = "pid:[4026531836]"  # the kernel's fixed number of the one that sees all processes


def started(pid: int) -> str:
    """When a process began, in ticks since the boot, which tells it from a later one with its number."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""


def read(path: str) -> str:
    """The one line of a small file of the system; empty where there is none."""
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def user() -> str:
    """Who runs this. In a container that may be a number without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def controller() -> dict[str, t.Any]:
    """This run: a worker's parent is ansible-playbook itself. ``namespace`` holds the processes in sight."""
    pid = os.getppid()
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return {
        "user": user(),
        "controller": socket.gethostname(),
        "machine": read("/etc/machine-id"),
        "boot": read("/proc/sys/kernel/random/boot_id"),
        "namespace": namespace,
        "whole_machine": namespace == FIRST_NAMESPACE,
        "pid": pid,
        "started": started(pid),
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def living() -> dict[str, str] | None:
    """When each process of this controller began; None where those of other users are hidden (hidepid, ProtectProc)."""
    if not started(1):
        return None
    return {entry: started(int(entry)) for entry in os.listdir("/proc") if entry.isdigit()}


class ActionModule(ActionBase):
    """The module with ``asker`` filled in; ``kept`` without it, as a module takes some times as long as a shell."""

    TRANSFERS_FILES = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """The module's result."""
        super().run(tmp, task_vars)
        asker = controller()
        if self._task.args.get("state") != "kept":
            given = {**self._task.args, "asker": {**asker, "alive": living()}}
            return dict(self._execute_module(module_args=given, task_vars=task_vars))
        try:
            self._see_kept(asker)
        except LampError as error:
            return {"failed": True, "changed": False, **error.as_result()}
        return {"changed": False, "holder": shown(asker)}

    def _see_kept(self, asker: dict[str, t.Any]) -> None:
        lock = DeployLock(self._task.args.get("path", FOLDER), self._task.args.get("name", ""))
        file = shlex.quote(str(lock.path))
        answer = self._low_level_execute_command(f"[ ! -e {file} ] || cat {file}")
        if answer["rc"]:
            raise lock.failure(str(answer["stderr"] or answer["stdout"]).strip())
        # What a shell says of its own, when it begins, is no part of the file.
        lines = str(answer["stdout"]).splitlines()
        text = next((line for line in lines if line.startswith("{")), "")
        see_kept(lock, named(text) if text else None, asker)
