# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter rollback_plan."""

from __future__ import annotations

# ruff: noqa: E402 (Ansible wants DOCUMENTATION above the imports)
DOCUMENTATION = r"""
name: rollback_plan
short_description: Decide what a rollback is going to do
version_added: 1.0.0
author: The lamp.cluster developers (@lamp-cluster)
description:
  - Decides from what the web hosts told which release is gone back to, and which is left. Where a deploy is unfinished,
    that is the release which was live before it; else the last good one. Where the web hosts run different releases,
    one has to be named.
positional: _input
options:
  _input:
    description: What M(lamp.cluster.deploy_info) returned, by host.
    type: dict
    required: true
  lock:
    description: What M(lamp.cluster.deploy_lock) returned. A lock that a host keeps for another is a refusal then.
    type: dict
  lock_host:
    description: The host that keeps the lock.
    type: str
    default: ''
  ident:
    description: What tells this rollback from others, such as the time.
    type: str
    required: true
  release:
    description: The release to go back to, if it is to be a certain one.
    type: str
    default: ''
  undo:
    description: Whether the deltas are undone that the release has never seen.
    type: bool
    default: false
  blocking:
    description: The load balancers that block for all web hosts; empty where each web host blocks itself.
    type: list
    elements: str
    default: []
  taken_over:
    description:
      - The dead run whose lock was taken over, as M(lamp.cluster.deploy_lock) tells. After a rollback that has come to
        its end, one that names no O(release) is refused then, as it may be the same command once more.
    type: str
    default: ''
  database:
    description:
      - What M(lamp.cluster.dbdeploy) answered in check mode. A rollback to a database with a delta that is applied or
        undone half way is refused, and so is one where the database told nothing.
      - Nothing, for an application without deltas.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Look at the host
  lamp.cluster.deploy_info:
    name: shop
    path: /var/www/shop
    site: shop
  register: looked

- name: Say what a rollback would do
  ansible.builtin.debug:
    msg: "{{ ({'web1': looked} | lamp.cluster.rollback_plan(ident='1')).lines }}"
"""

RETURN = r"""
_value:
  description: The plan, with C(release), C(left), C(todo), C(switch), C(undo_to), C(refusals) and C(lines) among it.
  type: dict
"""

import typing as t

from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.plan import rollback_plan, told


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Any]:
        """The filter by its name."""
        return {"rollback_plan": told(rollback_plan)}
