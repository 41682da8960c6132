#!/usr/bin/python
# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: play_hosts
short_description: Tell which hosts the play is for, whatever --limit leaves out of it
version_added: 1.0.0
description:
  - Tells all hosts of the inventory that match C(hosts) of the play, in the inventory's order. Of them,
    C(ansible_play_hosts_all) has only those that C(--limit) left.
  - Fails where the play's strategy lets each host go on by itself, as C(free) and C(host_pinned) do. They know no
    C(run_once), and no C(any_errors_fatal) either.
  - Runs on the controller alone, whatever host the task is for. Nothing is changed, ever.
author: The lamp.cluster developers (@lamp-cluster)
extends_documentation_fragment:
  - lamp.cluster.attributes
  - lamp.cluster.attributes.actiongroup
attributes:
  diff_mode:
    support: none
    description: Nothing is changed, so that there is never a difference to show.
options: {}
"""

EXAMPLES = r"""
- name: See which hosts this play is for
  lamp.cluster.play_hosts:
  register: play
  run_once: true

- name: Refuse to work on a part of them
  ansible.builtin.assert:
    that: play.hosts | difference(ansible_play_hosts_all) | length == 0
  run_once: true
"""

RETURN = r"""
hosts:
  description: The hosts.
  returned: success
  type: list
  elements: str
  sample: [web1, web2]
error_code:
  description: V(play_hosts_not_in_step).
  returned: on failure
  type: str
"""
