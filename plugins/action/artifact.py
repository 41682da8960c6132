# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole of ``artifact``: it needs no host."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.artifact import Options, make
from ansible_collections.lamp.cluster.plugins.plugin_utils._paths import on_controller


class ActionModule(ActionBase):
    """Runs on the controller, in check mode like in any other."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """The release, or a failed result."""
        super().run(tmp, task_vars)
        _validated, options = self.validate_argument_spec(
            {
                "source": {"type": "str", "required": True},
                "version": {"type": "str", "default": ""},
                "checksum": {"type": "str", "default": ""},
                "exclude": {"type": "list", "elements": "str", "default": []},
                "build": {"type": "list", "elements": "str", "default": []},
                "cache_dir": {"type": "path", "default": "~/.cache/lamp.cluster"},
            }
        )
        if options["source"] and "://" not in options["source"]:
            options["source"] = on_controller(self._loader, options["source"])
        try:
            return {"changed": False, **make(Options(**options))}
        except LampError as error:
            return {"failed": True, "changed": False, **error.as_result()}
        except OSError as error:
            failure = LampError(
                "artifact_io",
                f"{error.filename or options['cache_dir']} on the controller: {error.strerror}.",
                "See that who runs Ansible may read the source and write to cache_dir, and that the disk is not full.",
            )
            return {"failed": True, "changed": False, **failure.as_result()}
