# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of this collection does the same way: compose its options, run, answer."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError


class Module(AnsibleModule):
    """An AnsibleModule that tells of the options ``bulk``, which hold whole files, only how many there are.

    Everywhere else it would write all of them into the system log of the host, and into its result. Of an option that
    is ``no_log`` each word would be masked in all that the module says, the plan above all.
    """

    params: dict[str, t.Any]

    def __init__(self, bulk: t.Collection[str], **arguments: t.Any) -> None:
        self.bulk = bulk
        super().__init__(**arguments)

    def _told(self) -> dict[str, t.Any]:
        """The options as they may be shown."""
        return {
            name: f"({len(value)} of them)" if name in self.bulk and value else value
            for name, value in self.params.items()
        }

    def _log_invocation(self) -> None:
        params, self.params = self.params, self._told()
        super()._log_invocation()
        self.params = params

    def _return_formatted(self, kwargs: dict[str, t.Any]) -> None:
        super()._return_formatted({"invocation": {"module_args": self._told()}, **kwargs})


class ArgumentSpec:
    """An argument spec whose conditions travel with its options, so that parts can be put together."""

    CONDITIONS = ("mutually_exclusive", "required_together", "required_one_of", "required_if")

    def __init__(self, options: dict[str, t.Any], *, bulk: t.Collection[str] = (), **conditions: t.Any) -> None:
        """``options`` and ``conditions`` (``required_if`` ...) as AnsibleModule takes them; ``bulk`` as Module does."""
        self.options = options
        self.bulk = frozenset(bulk)
        self.required_by: dict[str, t.Any] = conditions.pop("required_by", {})
        self.conditions = {name: list(conditions.pop(name, [])) for name in self.CONDITIONS}
        if conditions:
            raise TypeError(f"unknown conditions: {', '.join(conditions)}")

    def __add__(self, other: ArgumentSpec) -> ArgumentSpec:
        both = ArgumentSpec(
            {**self.options, **other.options},
            bulk=self.bulk | other.bulk,
            required_by={**self.required_by, **other.required_by},
        )
        both.conditions = {name: self.conditions[name] + other.conditions[name] for name in self.CONDITIONS}
        return both

    def create_module(self) -> AnsibleModule:
        """The AnsibleModule for these options; every module of this collection supports check mode."""
        return Module(
            self.bulk,
            argument_spec=self.options,
            supports_check_mode=True,
            required_by=self.required_by,
            **self.conditions,
        )


def run(module: AnsibleModule, work: t.Callable[[AnsibleModule], dict[str, t.Any]]) -> t.NoReturn:
    """Call ``work`` and exit with what it returns (``changed`` must be among it), or fail with its LampError.

    A ``diff`` in the result is dropped unless the user asked for one.
    """
    try:
        result = work(module)
    except LampError as error:
        module.fail_json(**error.as_result())
    if not module._diff:
        result.pop("diff", None)
    module.exit_json(**result)
    raise AssertionError("exit_json returned")  # for the type checker: exit_json never returns
