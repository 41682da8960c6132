#!/usr/bin/python
# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: deploy_record
short_description: Keep the journal of an application's deploys
version_added: 1.0.0
description:
  - Records a deploy in a journal on the host. M(lamp.cluster.deploy_info) tells what is in it.
  - The journal is a text file with one JSON object per line, V(<path>/<name>.jsonl).
author: The lamp.cluster developers (@lamp-cluster)
extends_documentation_fragment:
  - lamp.cluster.attributes
  - lamp.cluster.attributes.actiongroup
options:
  name:
    description: The application.
    type: str
    required: true
  path:
    description: Folder of the journals.
    type: path
    default: /var/lib/lamp.cluster/deploys
  entry:
    description:
      - What to record; any keys. V(id) must be among them and tells one deploy from another.
      - An entry with the V(id) of one that is there replaces it.
      - An entry whose C(result) is V(failed, nothing changed) replaces one of that result right before it.
    type: dict
    required: true
  keep:
    description: How many entries the journal keeps.
    type: int
    default: 200
"""

EXAMPLES = r"""
- name: Record a deploy that was made by other means
  lamp.cluster.deploy_record:
    name: shop
    entry:
      id: "2026-11-21T03:00:00Z"
      release: 2f1c9a04be77
      result: deployed
"""

RETURN = r"""
deploys:
  description: The journal, oldest first, with the new entry.
  returned: success
  type: list
  elements: dict
  sample: [{id: "2026-11-21T03:00:00Z", release: 2f1c9a04be77, result: deployed}]
error_code:
  description: V(deploy_record_bad_name), V(deploy_record_no_id), V(deploy_record_bad_keep) or V(deploy_record_io).
  returned: on failure
  type: str
"""

import contextlib
import json
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lamp.cluster.plugins.module_utils._deploy_record import FOLDER, Journal, with_entry
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._module import ArgumentSpec, run


def record(module: AnsibleModule) -> dict[str, t.Any]:
    """Write the journal when the entry is new or differs."""
    params = module.params
    journal = Journal(params["path"], params["name"])
    if not params["entry"].get("id"):
        raise LampError("deploy_record_no_id", "The entry to record has no id.", "Give it one, such as the time.")
    if params["keep"] < 1:
        raise LampError("deploy_record_bad_keep", "keep must be at least 1.", "Say how many entries are to stay.")
    entry = {**params["entry"], "id": str(params["entry"]["id"])}
    with contextlib.nullcontext() if module.check_mode else journal.changing():
        before = journal.entries()
        after = with_entry(before, entry, params["keep"])
        changed = after != before
        if changed and not module.check_mode:
            journal.write(after)
    new = "" if not changed else json.dumps(entry, indent=2, sort_keys=True) + "\n"
    return {"changed": changed, "deploys": after, "diff": {"before": "", "after": new}}


def main() -> None:
    spec = ArgumentSpec(
        {
            "name": {"type": "str", "required": True},
            "path": {"type": "path", "default": FOLDER},
            "entry": {"type": "dict", "required": True},
            "keep": {"type": "int", "default": 200},
        }
    )
    run(spec.create_module(), record)


if __name__ == "__main__":
    main()
