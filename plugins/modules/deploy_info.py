#!/usr/bin/python
# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: deploy_info
short_description: Tell where an application stands on a host, in one call
version_added: 1.0.0
description:
  - Tells which releases are on the host and which is live, whether the site is blocked and by whom, and what the
    journal of deploys says. Nothing is changed, ever.
  - What cannot be told is named in RV(problems) and left empty; it does not fail the module.
author: The lamp.cluster developers (@lamp-cluster)
extends_documentation_fragment:
  - lamp.cluster.attributes
  - lamp.cluster.attributes.actiongroup
attributes:
  diff_mode:
    support: none
    description: Nothing is changed, so that there is never a difference to show.
options:
  name:
    description: The application, as M(lamp.cluster.deploy_record) was told.
    type: str
    required: true
  path:
    description: The application's root, as M(lamp.cluster.release) was told.
    type: path
    required: true
  site:
    description:
      - The site, as M(lamp.cluster.maintenance) was told. Its web server is asked as the role
        P(lamp.cluster.maintenance#role) left word on this host. Empty where the block is on other hosts.
    type: str
    required: true
  state_dir:
    description: The folder in which the blocks of all sites are.
    type: path
    default: /var/lib/lamp.cluster/maintenance
  deltas:
    description: Folder of the deltas in a release; empty where there are none.
    type: str
    default: ""
  read_deltas:
    description: A release whose files of deltas are to be returned in RV(delta_files).
    type: str
    default: ""
  encoding:
    description: Encoding of these files.
    type: str
    default: utf-8
  journal_path:
    description: Folder of the journals.
    type: path
    default: /var/lib/lamp.cluster/deploys
  lock_path:
    description: Folder of the locks, as M(lamp.cluster.deploy_lock) was told.
    type: path
    default: /var/lib/lamp.cluster/locks
"""

EXAMPLES = r"""
- name: See where the shop stands
  lamp.cluster.deploy_info:
    name: shop
    path: /var/www/shop
    site: shop
  register: standing
"""

RETURN = r"""
current:
  description: The release that is live, read from the link; empty where there is none.
  returned: success
  type: str
  sample: 2f1c9a04be7712aa
current_whole:
  description:
    - Whether that is there. A link that leads nowhere names a release that is not. One that leads to a folder which is
      none of RV(releases) names what somebody else deployed.
  returned: success
  type: bool
previous:
  description: The release to go back to, as M(lamp.cluster.release) tells it.
  returned: success
  type: str
  sample: 81be22d5cf0a9a31
releases:
  description: The releases on the host, each as M(lamp.cluster.release) tells it, with its deltas.
  returned: success
  type: list
  elements: dict
  contains:
    deltas:
      description: The numbers of its deltas, in their order.
      type: list
      elements: int
  sample:
    - {release: 2f1c9a04be7712aa, staged_at: "2026-11-21T03:00:00Z", active: true, rejected: "", deltas: [41, 42]}
settings_kept:
  description:
    - The run, as C(began) of its entry in the journal, whose switch replaced files by
      O(lamp.cluster.release#module:templates) and which has not come to its end, so that they are kept. Empty where
      none are.
  returned: success
  type: str
  sample: ""
block:
  description: The block in force, with C(owner) and C(since) (seconds since 1970); empty when the site is open.
  returned: success
  type: dict
  sample: {owner: deploy, since: 1795230000.5}
journal:
  description: The last entries of the journal, oldest first.
  returned: success
  type: list
  elements: dict
lock:
  description:
    - The lock of the application that is kept on this very host, with its C(file) and who holds it, C(by); empty where
      none is. Deploys that are told another host of the lock do not see it.
  returned: success
  type: dict
  sample:
    by: root on deploy1 (process 4711) since 2026-11-21T03:00:00Z
    file: /var/lib/lamp.cluster/locks/shop.json
doubt:
  description:
    - Why it is not known whether the site is blocked, where a deploy, named in RV(block), left it between open and
      blocked. The next deploy or rollback brings all of it to one state. Empty where there is no such doubt.
  returned: success
  type: str
delta_files:
  description:
    - The files in the folder of the deltas of the release O(read_deltas), as M(lamp.cluster.dbdeploy) takes them in
      O(lamp.cluster.dbdeploy#module:deltas). That they cannot be read is an error.
  returned: when O(read_deltas) names a release
  type: list
  elements: dict
  sample: [{name: 042_orders.sql, content: "ALTER TABLE orders ADD note TEXT;"}]
error_code:
  description: What failed, such as V(dbdeploy_no_folder).
  returned: on failure
  type: str
problems:
  description: What could not be told, and why.
  returned: success
  type: list
  elements: str
"""

import os
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy import folder
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.delta import FILE_NAME
from ansible_collections.lamp.cluster.plugins.module_utils._deploy_lock import FOLDER as LOCKS
from ansible_collections.lamp.cluster.plugins.module_utils._deploy_lock import DeployLock, words
from ansible_collections.lamp.cluster.plugins.module_utils._deploy_record import FOLDER, Journal
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.options import make_blocker
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.site import DEPLOY, ROOT, Site
from ansible_collections.lamp.cluster.plugins.module_utils._module import ArgumentSpec, run
from ansible_collections.lamp.cluster.plugins.module_utils._release.layout import Layout
from ansible_collections.lamp.cluster.plugins.module_utils._release.replaced import kept_for
from ansible_collections.lamp.cluster.plugins.module_utils._release.state import State, facts

SHOWN = 20  # entries of the journal


def deltas(release: str, place: str) -> list[int]:
    """The numbers of the deltas in a release, by the names of its files alone."""
    try:
        names = os.listdir(os.path.join(release, place)) if place else []
    except FileNotFoundError:
        return []
    return sorted(int(match.group(1)) for match in map(FILE_NAME.fullmatch, names) if match)


def delta_files(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """The deltas of the release that is named, if one is. :raises LampError: ``dbdeploy_no_folder`` and others"""
    if not params["read_deltas"]:
        return {}
    place = Path(Layout(params["path"]).release(params["read_deltas"]), params["deltas"])
    return {"delta_files": [dict(zip(("name", "content"), file)) for file in folder.read(place, params["encoding"])]}


def releases(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """What the host has of the application."""
    layout = Layout(params["path"])
    found = facts(layout, State(layout))
    for known in found["releases"]:
        known["deltas"] = deltas(layout.release(known["release"]), params["deltas"])
    return {**found, "current_whole": os.path.isdir(layout.current), "settings_kept": kept_for(layout)}


def block(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """The block as its file says."""
    state = Site(params["site"], params["state_dir"]).read() if params["site"] else None
    return {"block": {"owner": state["owner"], "since": state["since"]} if state else {}}


def proof(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Nothing, when the web server shows the same. One that does not look for the file is a problem, not open."""
    try:
        if params["site"]:
            make_blocker({"name": params["site"], "state_dir": params["state_dir"], "proof_timeout": 10}).examine()
    except LampError as error:
        if error.code != "maintenance_unknown_state" or error.details.get("owner") != DEPLOY:
            raise
        return {"doubt": str(error)}
    return {}


def lock(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """The holder of the application's lock, if it lies here."""
    there = DeployLock(params["lock_path"], params["name"])
    holder = there.holder()
    return {"lock": {} if holder is None else {"by": words(holder), "file": str(there.path)}}


def entries(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """The end of the journal."""
    return {"journal": Journal(params["journal_path"], params["name"]).entries()[-SHOWN:]}


def status(module: AnsibleModule) -> dict[str, t.Any]:
    """All parts; one that fails does not hide the others."""
    params = module.params
    result: dict[str, t.Any] = {
        "changed": False, "current": "", "current_whole": False, "previous": "", "releases": [], "block": {},
        "settings_kept": "", "doubt": "", "journal": [], "problems": [], "lock": {},
    }  # fmt: skip
    for part in (releases, block, proof, lock, entries):
        try:
            result.update(part(params))
        except LampError as error:
            result["problems"].append(error.as_result()["msg"])
        except OSError as error:
            result["problems"].append(f"{error.filename}: {error.strerror}.")
    return {**result, **delta_files(params)}


def main() -> None:
    spec = ArgumentSpec(
        {
            "name": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "site": {"type": "str", "required": True},
            "state_dir": {"type": "path", "default": ROOT},
            "deltas": {"type": "str", "default": ""},
            "read_deltas": {"type": "str", "default": ""},
            "encoding": {"type": "str", "default": "utf-8"},
            "journal_path": {"type": "path", "default": FOLDER},
            "lock_path": {"type": "path", "default": LOCKS},
        }
    )
    run(spec.create_module(), status)


if __name__ == "__main__":
    main()
