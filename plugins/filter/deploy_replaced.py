# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter deploy_replaced."""

from __future__ import annotations

# ruff: noqa: E402 (Ansible wants DOCUMENTATION above the imports)
DOCUMENTATION = r"""
name: deploy_replaced
short_description: Say whose place a release takes
version_added: 1.0.0
author: The lamp.cluster developers (@lamp-cluster)
description:
  - Says from what the web hosts told which other releases are live, whose users have sessions that a tag of the new
    one, or of a delta that they lack, is about.
  - Where the new one was deployed to its end, and nothing was done since, a host that runs another one only comes late,
    and there is none.
positional: _input
options:
  _input:
    description: What M(lamp.cluster.deploy_info) returned, by host.
    type: dict
    required: true
  release:
    description: The release to be live.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Look at the host
  lamp.cluster.deploy_info:
    name: shop
    path: /var/www/shop
    site: shop
  register: looked

- name: Say how many releases give way to another one
  ansible.builtin.debug:
    msg: "{{ {'web1': looked} | lamp.cluster.deploy_replaced('2f1c9a04be77') | length }}"
"""

RETURN = r"""
_value:
  description: The releases, as M(lamp.cluster.dbdeploy) takes them in O(lamp.cluster.dbdeploy#module:replaced).
  type: list
  elements: dict
"""

import typing as t

from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.plan import replaced


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Any]:
        """The filter by its name."""
        return {"deploy_replaced": replaced}
