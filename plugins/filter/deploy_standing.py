# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter deploy_standing."""

from __future__ import annotations

# ruff: noqa: E402 (Ansible wants DOCUMENTATION above the imports)
DOCUMENTATION = r"""
name: deploy_standing
short_description: Say where an application stands, and the command that goes on
version_added: 1.0.0
author: The lamp.cluster developers (@lamp-cluster)
description:
  - Puts together what the web hosts, the lock and the database told, says what that adds up to, and gives the command
    that goes on, with what this command was given on its command line to tell the application.
positional: _input
options:
  _input:
    description: What M(lamp.cluster.deploy_info) returned, by host, of those hosts that could be reached.
    type: dict
    required: true
  lock:
    description: What M(lamp.cluster.deploy_lock) answered in check mode.
    type: dict
    required: true
  lock_host:
    description: The host that keeps the lock. Without it nothing is said of locks that others keep.
    type: str
    default: ''
  database:
    description: What M(lamp.cluster.dbdeploy) answered in check mode; empty for an application without a database.
    type: dict
    required: true
  away:
    description: The hosts that could not be reached.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Look at the host
  lamp.cluster.deploy_info:
    name: shop
    path: /var/www/shop
    site: shop
  register: looked

- name: Say where the shop stands, on one host and without a database
  ansible.builtin.debug:
    msg: "{{ ({'web1': looked} | lamp.cluster.deploy_standing(lock={'holder': {}}, database={}, away=[])).lines }}"
"""

RETURN = r"""
_value:
  description:
    - C(lines) for people, C(verdict), C(next) (the command that goes on), C(rollback) (the one that goes
      back), C(unfinished), C(blocked), C(releases),
      C(away) and C(history).
  type: dict
"""

import typing as t

from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.given import given
from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.standing import standing


def told(looks: t.Any, **options: t.Any) -> dict[str, t.Any]:
    """The standing, with commands that name what this one was given."""
    return standing(looks, given=given(), **options)


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Any]:
        """The filter by its name."""
        return {"deploy_standing": told}
