# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the folder of deltas on the controller and hands the files to the module in its arguments."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy import folder
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.plugin_utils._paths import on_controller


class ActionModule(ActionBase):
    """Turns ``src`` into ``deltas`` unless ``remote_src`` says that it is on the host."""

    TRANSFERS_FILES = False
    _requires_connection = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """The module's result. :raises AnsibleError: never for what a LampError says; that is a failed result"""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        source = arguments.get("src")
        if source and not boolean(arguments.get("remote_src", False), strict=False):
            try:
                path = self._find(str(source))
                files = folder.read(path, str(arguments.get("encoding", "utf-8")))
            except LampError as error:
                return {"failed": True, "changed": False, "database_changed": False, **error.as_result()}
            del arguments["src"]
            arguments["deltas"] = [{"name": name, "content": content} for name, content in files]
        return dict(self._execute_module(module_args=arguments, task_vars=task_vars))

    def _find(self, source: str) -> Path:
        """The folder as Ansible looks for files: beside the role or the play, or as it stands."""
        if Path(source).is_absolute():
            return Path(source)
        try:
            return Path(self._find_needle("files", source))
        except AnsibleError:
            return Path(on_controller(self._loader, source))
