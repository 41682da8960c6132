# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Purges as the module does them, in this process: for tests of many examples."""

from __future__ import annotations

from typing import Any

from ansible_collections.lamp.cluster.plugins.modules import session_purge

DEFAULTS = {name: option.get("default") for name, option in session_purge.arguments().options.items()}


def purge(store: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """The module's result. :raises LampError: as the module fails"""
    unknown = set(options) - set(DEFAULTS)
    assert not unknown, unknown
    return session_purge.purge({**DEFAULTS, "store": store, **options}, check)
