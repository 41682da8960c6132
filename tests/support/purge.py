# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Purges as the module does them, in this process: for tests of many examples."""

from __future__ import annotations

from typing import Any

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.selection import misfit
from ansible_collections.lamp.cluster.plugins.modules import session_purge

DEFAULTS = {name: option.get("default") for name, option in session_purge.arguments().options.items()}


def purge(store: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """The module's result. :raises LampError: as the module fails"""
    unknown = set(options) - set(DEFAULTS)
    assert not unknown, unknown
    return session_purge.purge({**DEFAULTS, "store": store, **options}, check)


def refused(store: str, **options: Any) -> LampError:
    """How the plan refuses, which the purge does the same way."""
    errors = []
    for check in (True, False):
        try:
            purge(store, **options, check=check)
        except LampError as error:
            errors.append(error)
    assert len(errors) == 2, f"one of plan and purge went on, the other said {errors}"
    assert (errors[0].code, str(errors[0])) == (errors[1].code, str(errors[1]))
    return errors[0]


def warned(store: str, **options: Any) -> str | None:
    """Of what the plan warns, and the purge in the same words."""
    texts = [
        misfit({**DEFAULTS, "store": store, **options}, purge(store, **options, check=check)) for check in (True, False)
    ]
    assert texts[0] == texts[1]
    return texts[0]
