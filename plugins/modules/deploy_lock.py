#!/usr/bin/python
# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: deploy_lock
short_description: Let one deploy of an application run at a time
version_added: 1.0.0
description:
  - Takes or frees a lock on the host that the task runs on. Which host that is must be the same for all deploys of an
    application.
  - The lock names its holder, a process of a controller. If that process is dead, its own controller takes the lock
    over; from another controller, O(force) does.
author: The lamp.cluster developers (@lamp-cluster)
extends_documentation_fragment:
  - lamp.cluster.attributes
  - lamp.cluster.attributes.actiongroup
options:
  name:
    description: The application.
    type: str
    required: true
  state:
    description:
      - Whether the lock is to be held by this run of C(ansible-playbook).
      - V(kept) takes and frees nothing. It fails unless this run holds the lock, which another may have taken by
        O(force) since. It asks the host's shell alone, as it is for moments in which each second counts.
    type: str
    choices: [held, kept, free]
    default: held
  path:
    description: Folder of the locks.
    type: path
    default: /var/lib/lamp.cluster/locks
  force:
    description: Take, or free, the lock of another that lives or may live.
    type: bool
    default: false
  asker:
    description: Who asks. The controller fills this in.
    type: dict
"""

EXAMPLES = r"""
- name: Keep other deploys out
  lamp.cluster.deploy_lock:
    name: shop
    state: held
  run_once: true

- name: See that none has come in by force, before something that must not meet one
  lamp.cluster.deploy_lock:
    name: shop
    state: kept
  run_once: true

- name: Let them in again
  lamp.cluster.deploy_lock:
    name: shop
    state: free
  run_once: true
"""

RETURN = r"""
holder:
  description: Who holds the lock now, with C(user), C(controller), C(pid) and C(since); empty when nobody does.
  returned: success, and when another holds it
  type: dict
  sample: {user: root, controller: deploy1, pid: 4711, since: "2026-11-21T03:00:00Z"}
stale_taken:
  description: The dead (or, with O(force), the other) holder whose lock was taken over; empty when there was none.
  returned: success, but for O(state=kept)
  type: str
  sample: ""
error_code:
  description: >-
    V(deploy_lock_held), V(deploy_lock_lost), V(deploy_lock_damaged), V(deploy_lock_bad_name),
    V(deploy_lock_no_controller) or V(deploy_lock_io).
  returned: on failure
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lamp.cluster.plugins.module_utils._deploy_lock import (
    FOLDER,
    DeployLock,
    Holder,
    is_dead,
    same,
    shown,
    words,
)
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._module import ArgumentSpec, run


def decide(lock: DeployLock, wanted: str, asker: Holder, force: bool) -> tuple[bool, str]:
    """Whether something is to change, and whose lock is taken over.

    :raises LampError: ``deploy_lock_held``, ``deploy_lock_damaged``
    """
    holder = lock.holder()
    if holder is None or same(holder, asker):
        return (wanted == "held") == (holder is None), ""
    if not holder and not force:
        raise LampError(
            "deploy_lock_damaged",
            f"The lock {lock.path} is there, but does not name its holder.",
            "If you are sure that no deploy runs, run again with -e deploy_force_lock=true.",
        )
    if not force and not is_dead(holder, asker):
        raise LampError(
            "deploy_lock_held",
            f"The lock {lock.path} is held by {words(holder)}.",
            "Wait for that deploy. If you are sure that it is dead, run again with -e deploy_force_lock=true.",
            holder=shown(holder),
        )
    return True, words(holder)


def deploy_lock(module: AnsibleModule) -> dict[str, t.Any]:
    """Take or free the lock."""
    params = module.params
    if not params["asker"]:
        raise LampError(
            "deploy_lock_no_controller", "Nobody said who asks for the lock.", "Run this module through Ansible."
        )
    alive = params["asker"]["alive"]
    asker: Holder = {**params["asker"], "alive": alive and {int(pid): start for pid, start in alive.items()}}
    lock = DeployLock(params["path"], params["name"])
    holder = {key: value for key, value in asker.items() if key != "alive"}
    if module.check_mode:
        changed, stale = decide(lock, params["state"], asker, params["force"])
    else:
        with lock.changing():
            changed, stale = decide(lock, params["state"], asker, params["force"])
            if changed and params["state"] == "held":
                lock.write(holder)
            elif changed:
                lock.remove()
    now = shown(holder if params["state"] == "held" else None)
    who = f"held by {words(holder)}\n" if params["state"] == "held" else "free\n"
    # A lock that comes and goes with a run is no change to the system: a deploy with nothing to do changes nothing.
    return {
        "changed": bool(stale),
        "holder": now,
        "stale_taken": stale,
        "diff": {"before": f"{stale}\n" if stale else "", "after": who if stale else ""},
    }


def main() -> None:
    spec = ArgumentSpec(
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["held", "kept", "free"], "default": "held"},
            "path": {"type": "path", "default": FOLDER},
            "force": {"type": "bool", "default": False},
            "asker": {"type": "dict"},
        }
    )
    run(spec.create_module(), deploy_lock)


if __name__ == "__main__":
    main()
