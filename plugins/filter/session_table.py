# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter session_table."""

from __future__ import annotations

# ruff: noqa: E402 (Ansible wants DOCUMENTATION above the imports)
DOCUMENTATION = r"""
name: session_table
short_description: Say which table a layout of sessions keeps them in
version_added: 1.0.0
author: The lamp.cluster developers (@lamp-cluster)
description:
  - Says which table a layout of M(lamp.cluster.session_purge) keeps its sessions in, if no other is named.
options:
  _input:
    description: The layout, such as V(lamp) or V(symfony).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Say that the table is lamp_session
  ansible.builtin.debug:
    msg: "{{ 'lamp' | lamp.cluster.session_table }}"
"""

RETURN = r"""
_value:
  description: The table; empty for layouts that bring none.
  type: str
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.layouts import LAYOUTS


def session_table(layout: str) -> str:
    """The table of a layout."""
    if layout not in LAYOUTS:
        raise AnsibleFilterError(f"{layout!r} is no layout of session tables; there are {', '.join(LAYOUTS)}.")
    return LAYOUTS[layout].table


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Any]:
        """The filter by its name."""
        return {"session_table": session_table}
