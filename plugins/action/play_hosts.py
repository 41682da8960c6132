# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole of ``play_hosts``: it needs no host."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader, strategy_loader
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError


def check_strategy(strategy: str) -> None:
    """Return when the strategy, or the one that it is made of, takes all hosts through the tasks step by step.

    :raises LampError: ``play_hosts_not_in_step``
    """
    found = strategy_loader.get(strategy, class_only=True)
    # By its short name and by its long one it is loaded twice: two classes, of modules with the same last name.
    if "linear" not in [base.__module__.rpartition(".")[2] for base in found.__mro__]:
        raise LampError(
            "play_hosts_not_in_step",
            f"The strategy of this play is {strategy}, by which each host goes on by itself: one would have its code"
            " switched while another is still open.",
            "Give the play strategy: ansible.builtin.linear; else ansible.cfg or ANSIBLE_STRATEGY say which.",
        )


class ActionModule(ActionBase):
    """Runs on the controller, in check mode like in any other."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """The hosts: no variable has the play's pattern, and the lookup knows no limit."""
        super().run(tmp, task_vars)
        self.validate_argument_spec({})
        play = self._task.get_play()
        try:
            check_strategy(self._templar.template(play.strategy))
        except LampError as error:
            return {"failed": True, "changed": False, **error.as_result()}
        lookup = lookup_loader.get("ansible.builtin.inventory_hostnames", loader=self._loader, templar=self._templar)
        return {"changed": False, "hosts": lookup.run(play.hosts, variables=task_vars)}
