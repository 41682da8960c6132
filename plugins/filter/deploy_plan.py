# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter deploy_plan."""

from __future__ import annotations

# ruff: noqa: E402 (Ansible wants DOCUMENTATION above the imports)
DOCUMENTATION = r"""
name: deploy_plan
short_description: Decide what a deploy is going to do
version_added: 1.0.0
author: The lamp.cluster developers (@lamp-cluster)
description:
  - Decides from what the web hosts and the database told whether there is anything to do, on which hosts, and whether
    the site has to be blocked for it.
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
    description: What tells this deploy from others, such as the time.
    type: str
    required: true
  release:
    description: The release to be live.
    type: str
    required: true
  due:
    description: The hosts on which M(lamp.cluster.release) found a switch due.
    type: list
    elements: str
    required: true
  pending:
    description: The pending deltas, as M(lamp.cluster.dbdeploy) returned them.
    type: list
    elements: dict
    required: true
  drop:
    description: Whether a session drop is due.
    type: bool
    required: true
  mode:
    description: V(auto), V(window) or V(rolling).
    type: str
    required: true
  balancers:
    description: The load balancers.
    type: list
    elements: str
    required: true
  force:
    description: Whether a release that was rolled back may come again.
    type: bool
    default: false
  blocking:
    description: The load balancers that block for all web hosts; empty where each web host blocks itself.
    type: list
    elements: str
    default: []
  ahead:
    description: The numbers of deltas that the database has and the release lacks, as M(lamp.cluster.dbdeploy) tells.
    type: list
    elements: int
    default: []
  allow_behind:
    description: Whether the release may go live all the same.
    type: bool
    default: false
  proven:
    description: Whether the web hosts are asked which release they serve. The plan says so where they are not.
    type: bool
    default: true
  half:
    description: The deltas that were begun and never completed, as M(lamp.cluster.dbdeploy) tells (C(unfinished)).
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Look at the host
  lamp.cluster.deploy_info:
    name: shop
    path: /var/www/shop
    site: shop
  register: looked

- name: Plan the deploy of a release that it lacks
  ansible.builtin.set_fact:
    plan: >-
      {{ {'web1': looked} | lamp.cluster.deploy_plan(ident='1', release='2f1c9a04be77', due=['web1'], pending=[],
      drop=false, mode='auto', balancers=[]) }}
"""

RETURN = r"""
_value:
  description:
    - The plan; C(todo), C(mode), C(why), C(switch), C(deltas), C(ahead), C(drop), C(refusals) and C(lines) are in it.
  type: dict
"""

import typing as t

from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.plan import deploy_plan, told


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Any]:
        """The filter by its name."""
        return {"deploy_plan": told(deploy_plan)}
