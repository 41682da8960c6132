# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings the archive of a release to a host, if the host says that it lacks it."""

from __future__ import annotations

import os
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError


class ActionModule(ActionBase):
    """One module call where the release is there already, two and a transfer where it is not."""

    TRANSFERS_FILES = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """The module's result."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        archive = arguments.pop("artifact", None)
        result = dict(self._execute_module(module_args=arguments, task_vars=task_vars))
        if result.get("failed") or not result.pop("lacking", False):
            return result
        if not archive or not os.path.isfile(str(archive)):
            error = LampError(
                "release_no_artifact",
                f"This host lacks the release {arguments.get('release')}, and "
                f"{f'{archive} is no file on the controller' if archive else 'no artifact was given'}.",
                "Build it with lamp.cluster.artifact and give its archive.",
            )
            return {"failed": True, "changed": False, **error.as_result()}
        if self._task.check_mode:
            return result
        folder = self._connection._shell.tmpdir or self._make_tmp_path()
        remote = self._transfer_file(str(archive), self._connection._shell.join_path(folder, "release.tar.gz"))
        self._fixup_perms2((folder, remote))
        result = dict(self._execute_module(module_args={**arguments, "artifact": remote}, task_vars=task_vars))
        self._remove_tmp_path(self._connection._shell.tmpdir)
        result.pop("lacking", None)
        return result
