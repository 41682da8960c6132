#!/usr/bin/python
# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: transaction_drain
short_description: Wait until an application's open transactions have ended
version_added: 1.0.0
description:
  - Waits for the transactions of a database user that were open when the module began. Requests are drained by the web
    server; what they left running in the database, or what runs without a request, shows only here.
  - Nothing is changed and no transaction is ended. In check mode it looks once and does not wait.
  - On a cluster it sees those of the node that it logs in to.
author: The lamp.cluster developers (@lamp-cluster)
extends_documentation_fragment:
  - lamp.cluster.attributes
  - lamp.cluster.attributes.actiongroup
  - lamp.cluster.mysql
options:
  user:
    description: The database user of the application. O(login_user), the same or another, needs the right C(PROCESS).
    type: str
    required: true
  drain_timeout:
    description: Seconds to wait.
    type: float
    default: 30
  on_drain_timeout:
    description: Whether transactions that are still open after O(drain_timeout) are a failure.
    type: str
    choices: [continue, fail]
    default: continue
"""

EXAMPLES = r"""
- name: Wait for what the shop still does in the database
  lamp.cluster.transaction_drain:
    user: shop
    login_user: deploy
    login_password: "{{ vault_deploy_password }}"
  run_once: true
"""

RETURN = r"""
drained:
  description: Whether none was open any more.
  returned: success
  type: bool
transactions:
  description: Those that were still open, the oldest first.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: The connection, as C(KILL) takes it.
      type: int
    host:
      description: From where it came.
      type: str
    seconds:
      description: How long it had been open.
      type: float
  sample: [{id: 4711, host: "10.0.0.21:51234", seconds: 31.2}]
drain_seconds:
  description: How long it took.
  returned: success
  type: float
error_code:
  description: What failed, such as V(transaction_drain_timeout).
  returned: on failure
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._module import ArgumentSpec, run
from ansible_collections.lamp.cluster.plugins.module_utils._mysql import MYSQL_ARGUMENTS, connect
from ansible_collections.lamp.cluster.plugins.module_utils._transaction_drain import drain


def wait(module: AnsibleModule) -> dict[str, t.Any]:
    """Wait for the transactions; in check mode only look."""
    params = module.params
    connection = connect(params, autocommit=True)
    try:
        result = drain(connection, params["user"], 0 if module.check_mode else params["drain_timeout"])
    finally:
        connection.close()
    if not result["drained"] and params["on_drain_timeout"] == "fail" and not module.check_mode:
        oldest = result["transactions"][0]
        raise LampError(
            "transaction_drain_timeout",
            f"{len(result['transactions'])} transactions of {params['user']} outlived {params['drain_timeout']:g} s;"
            f" the oldest is connection {oldest['id']} from {oldest['host']}, for {oldest['seconds']:g} s.",
            "Wait for them, or end them with KILL, and run the same command again.",
            transactions=result["transactions"],
        )
    return {"changed": False, **result}


def main() -> None:
    spec = MYSQL_ARGUMENTS + ArgumentSpec(
        {
            "user": {"type": "str", "required": True},
            "drain_timeout": {"type": "float", "default": 30},
            "on_drain_timeout": {"type": "str", "choices": ["continue", "fail"], "default": "continue"},
        }
    )
    run(spec.create_module(), wait)


if __name__ == "__main__":
    main()
