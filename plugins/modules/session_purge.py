#!/usr/bin/python
# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: session_purge
short_description: Remove the users' sessions from the store they live in
version_added: 1.0.0
description:
  - Removes exactly the sessions of a store and nothing else, counts before and after, and repeats until none is left.
  - Run it while no request can write a session back, behind M(lamp.cluster.maintenance).
author: The lamp.cluster developers (@lamp-cluster)
extends_documentation_fragment:
  - lamp.cluster.attributes
  - lamp.cluster.attributes.actiongroup
  - lamp.cluster.mysql
options:
  store:
    description: Where the sessions are.
    type: str
    choices: [mysql, files]
    required: true
  save_path:
    description: For O(store=files), the folder as C(session.save_path) of php.ini has it, V([N;[MODE;]]/path).
    type: str
    default: /var/lib/php/sessions
  table:
    description: For O(store=mysql), the table that holds one session (or one variable of a session) a row.
    type: str
    default: lamp_session
  epoch_table:
    description:
      - For O(store=mysql) with this collection's own PHP handlers, the table of their epochs, V(lamp_session_epoch).
        Its counters are raised first, which invalidates all sessions at once, also those that are just being written.
    type: str
    default: ""
  where:
    description: For O(store=mysql), an SQL condition that selects the sessions to remove. Without it, all.
    type: str
  lock_wait_timeout:
    description:
      - For O(store=mysql), seconds to wait for somebody who holds the table. After them the rows are deleted in small
        steps instead, for which nobody has to let go of the table.
    type: int
    default: 5
"""

EXAMPLES = r"""
- name: Log everybody out, sessions in this collection's own table
  lamp.cluster.session_purge:
    store: mysql
    epoch_table: lamp_session_epoch
    login_host: db.example.com
    login_user: shop
    login_password: "{{ shop_db_password }}"
    login_db: shop

- name: Log everybody out, sessions in files
  lamp.cluster.session_purge:
    store: files
    save_path: /var/lib/php/sessions
"""

RETURN = r"""
store:
  description: The store.
  returned: success
  type: str
  sample: mysql
before:
  description: How many sessions there were.
  returned: success
  type: int
  sample: 1200
purged:
  description: How many were removed (in check mode, would be).
  returned: success
  type: int
  sample: 1200
after:
  description: How many are left (in check mode, would be).
  returned: success
  type: int
  sample: 0
error_code:
  description: What failed, such as V(session_purge_no_table).
  returned: on failure
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lamp.cluster.plugins.module_utils import _mysql
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._module import ArgumentSpec, run
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import Store
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.files import Files
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.mysql import Mysql

PASSES = 10  # a store that still gains sessions after that many passes is not blocked


def empty(store: Store) -> int:
    """Purge until a pass finds nothing; how many sessions went. :raises LampError: ``session_purge_not_blocked``"""
    purged = 0
    for _pass in range(PASSES):
        purged += store.purge()
        if not store.count():
            return purged
    raise LampError(
        "session_purge_not_blocked",
        f"Sessions keep coming: {store.count()} are there after {PASSES} passes, and {purged} were removed.",
        "Block the site first (lamp.cluster.maintenance).",
    )


def purge(module: AnsibleModule) -> dict[str, t.Any]:
    """Count, purge unless in check mode, count again."""
    params = module.params
    store: Store
    if params["store"] == "files":
        store = Files(params["save_path"])
    else:
        store = Mysql(_mysql.connect(params, autocommit=True), params)
    before = store.count()
    purged = empty(store) if before and not module.check_mode else before
    after = store.count() if not module.check_mode else 0
    return {
        "changed": before > 0,
        "store": params["store"],
        "before": before,
        "purged": purged,
        "after": after,
        "diff": {
            "before": f"{params['store']}: {before} sessions\n",
            "after": f"{params['store']}: {after} sessions\n",
        },
    }


def main() -> None:
    spec = _mysql.MYSQL_ARGUMENTS + ArgumentSpec(
        {
            "store": {"type": "str", "choices": ["mysql", "files"], "required": True},
            "save_path": {"type": "str", "default": "/var/lib/php/sessions"},
            "table": {"type": "str", "default": "lamp_session"},
            "epoch_table": {"type": "str", "default": ""},
            "where": {"type": "str"},
            "lock_wait_timeout": {"type": "int", "default": 5},
        },
        required_if=[("store", "mysql", ("login_db",))],
    )
    run(spec.create_module(), purge)


if __name__ == "__main__":
    main()
