# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A callback that kills ansible-playbook (-9) at a task, and writes down which tasks there are.

CUT_AT is the task in front of which it dies: by its number from 1, or by its module and the state that this is given,
such as "release active" or "session_purge"; tasks in check mode are not meant. "session_purge on web2" means the part
of that host: with one fork, those of the hosts before it have ended. CUT_LOG is a file for the names of all
tasks.
"""

from __future__ import annotations

# ruff: noqa: E402 (Ansible wants DOCUMENTATION above the imports)
DOCUMENTATION = """
name: cut
type: notification
short_description: Die in front of a task
description: For tests.
"""

import os
import signal
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """Counts tasks as they begin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "cut"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.last = os.environ.get("CUT_AT", "")
        self.log = os.environ.get("CUT_LOG", "")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """One task of all hosts begins; the one before it has ended on all of them."""
        self.count += 1
        if self.log:
            with open(self.log, "a", encoding="utf-8") as stream:
                stream.write(f"{task.get_name()}\n")
        self._die_at(str(self.count), what(task))

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """One host's part of a task begins."""
        self._die_at(f"{what(task)} on {host.name}")

    def _die_at(self, *names: str) -> None:
        if self.last and self.last in names:
            os.kill(os.getpid(), signal.SIGKILL)


def what(task: Any) -> str:
    """The task's module and state."""
    return "" if task.check_mode else f"{task.action.rpartition('.')[2]} {task.args.get('state', '')}".strip()
