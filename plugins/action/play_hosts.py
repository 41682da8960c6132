# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole of ``play_hosts``: it needs no host."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader


class ActionModule(ActionBase):
    """Runs on the controller, in check mode like in any other."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """The hosts: no variable has the play's pattern, and the lookup knows no limit."""
        super().run(tmp, task_vars)
        self.validate_argument_spec({})
        lookup = lookup_loader.get("ansible.builtin.inventory_hostnames", loader=self._loader, templar=self._templar)
        return {"changed": False, "hosts": lookup.run(self._task.get_play().hosts, variables=task_vars)}
