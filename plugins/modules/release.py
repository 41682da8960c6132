#!/usr/bin/python
# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Keep the releases of an application on a web host, and switch between them
version_added: 1.0.0
description:
  - Keeps releases side by side in V(<path>/releases), what they share in V(<path>/shared), and the live one behind the
    symbolic link V(<path>/current), which is switched in one atomic step.
  - In check mode V(active) takes a release that is not there for one that a task before would have staged.
  - A release that was cut off while it was staged is never taken for whole. The live release, the one before it, and
    what an unfinished deploy would go back to are never removed.
  - Where a release is staged, a diff names each path that is added, changed or removed against the live release, as
    that was staged. Shared paths and rendered templates are not among them.
author: The lamp.cluster developers (@lamp-cluster)
extends_documentation_fragment:
  - lamp.cluster.attributes
  - lamp.cluster.attributes.actiongroup
  - lamp.cluster.smoke_tests
options:
  path:
    description: The application's root, as an absolute path.
    type: path
    required: true
  state:
    description:
      - V(staged) has the release on the host, V(active) makes it the live one, V(absent) removes it, V(pruned) removes
        old releases beyond O(keep), V(rejected) marks a release as one not to come back to.
      - V(inactive) removes V(<path>/current), so that no release is live, as before the first one.
      - V(settled) forgets what was kept for O(run), which has come to its end.
      - When V(staged) brings a release, it removes old ones beyond O(keep), too. Nothing removes the live release or
        the one to go back to.
    type: str
    choices: [staged, active, inactive, absent, pruned, rejected, settled]
    default: staged
  release:
    description:
      - The release, as M(lamp.cluster.artifact) returned it. Needed unless O(state) is V(pruned),
        V(inactive) or V(settled).
    type: str
  artifact:
    description:
      - The archive that M(lamp.cluster.artifact) returned. It is sent only to hosts that lack the release, without the
        files whose contents the host can take from the release that is live there.
    type: path
  templates:
    description:
      - Files that the controller renders for each host, such as C(.env), and puts into the release. If
        O(templates[].dest) is, or lies in, one of O(shared_paths), the file is shared by all releases.
      - What the live release reads is changed by O(state=active) alone, so give the same templates to both states.
      - Neither the release's id nor any record depends on what is in them, and a diff names only the files.
    type: list
    elements: dict
    default: []
    suboptions:
      src:
        description: The template, found as M(ansible.builtin.template) finds it.
        type: str
        required: true
      dest:
        description: Its path in the release.
        type: str
        required: true
      mode:
        description: The file's mode, octal.
        type: str
        default: "0640"
      owner:
        description: Who owns the file. By default O(owner).
        type: str
      group:
        description: The group of the file. By default O(writable_group), so that the web server can read it.
        type: str
  shared_paths:
    description:
      - Paths in the release that all releases share. They are links into V(<path>/shared), which is seeded from the
        first release that has something there, before O(templates) are put into it. Folders above them are made.
      - What is in neither is made as an empty folder. A name with a dot in it, such as V(.env), is taken for a file,
        which must be put there, unless it ends in a slash or is one of O(writable_paths).
    type: list
    elements: str
    default: []
  writable_paths:
    description:
      - Folders that belong to O(writable_owner). Everything else belongs to O(owner), so that the web server cannot
        write code. What is shared below them is seeded as theirs, too.
    type: list
    elements: str
    default: []
  owner:
    description:
      - Who owns the code.
      - If it is not O(writable_owner), a release is staged only where O(writable_owner) can replace neither it nor
        V(<path>/current) by something else.
    type: str
    default: root
  group:
    description: The group of the code.
    type: str
    default: root
  writable_owner:
    description: Who owns the writable paths.
    type: str
    default: www-data
  writable_group:
    description: The group of the writable paths.
    type: str
    default: www-data
  services:
    description:
      - Services to reload when O(state=active) or O(state=inactive) switched, so that none serves old code from a
        cache. A reload that failed is made up for by the next run.
      - With O(document_root), they are reloaded only if PHP could go on with the old release.
      - O(state=staged) fails if one of them is no service of the host.
    type: list
    elements: str
    default: []
  document_root:
    description:
      - The folder in the release that the site serves, such as V(public), or V(.) for the release itself.
      - If it is given, each release gets a script V(lamp-release.php) there, which answers this host alone. It tells
        whether a reload is needed, and O(state=active) ends when, and fails unless, PHP is seen to run the new release.
    type: str
  url:
    description: The site's address as its users know it, for O(document_root). The request itself goes to O(address).
    type: str
    default: http://localhost
  address:
    description: Where that request goes, as V(host) or V(host:port). By default to the port of O(url) on this host.
    type: str
  bypass_token:
    description: Token that leads that request through a block, as given to M(lamp.cluster.maintenance).
    type: str
  tests:
    description:
      - Smoke tests of the release once it is live, as the option of M(lamp.cluster.smoke_test). They go the way of
        O(url), O(address) and O(bypass_token). One that fails fails the module; the release stays live.
      - Here and not in a task of its own they cost a maintenance window next to nothing.
    default: []
  patience:
    description: Seconds during which one of O(tests) that fails is tried again.
    type: float
    default: 0
  keep:
    description: How many releases are left on the host, the live one among them.
    type: int
    default: 5
  reason:
    description: Why a release is rejected.
    type: str
    default: rolled back
  force:
    description: Switch even to a rejected release, which then is no longer rejected.
    type: bool
    default: false
  run:
    description:
      - What tells the run that this belongs to from others, such as the time of a deploy. With it, O(state=active)
        keeps each file that it replaces by one of O(templates), in a file below V(<path>/releases) that only root can
        read, until O(state=settled), or until another run replaces one.
      - What was kept first for a run stays; give a run that continues another one the same.
    type: str
    default: ""
  restore:
    description:
      - Whether O(state=active) and O(state=inactive) put back what was kept for O(run).
      - O(release) may then name what this module did not stage, such as V(/srv/shop). V(<path>/current) leads to that
        folder again, of which nothing is rendered or proven.
    type: bool
    default: false
  package:
    description: A small release itself. The controller fills this in.
    type: str
  base:
    description: The release on the host that O(package) or O(artifact) builds upon. The controller fills this in.
    type: str
    default: ""
  manifest:
    description: What the release consists of. The controller fills this in when a diff is asked for.
    type: str
  rendered:
    description: The rendered O(templates). The controller fills this in.
    type: str
"""

EXAMPLES = r"""
- name: Build the release
  lamp.cluster.artifact:
    source: build/shop
  register: artifact
  run_once: true

- name: Stage it
  lamp.cluster.release:
    path: /var/www/shop
    release: "{{ artifact.release }}"
    artifact: "{{ artifact.archive }}"
    shared_paths: [public/uploads]
    writable_paths: [public/uploads]
    templates: &templates
      - src: env.j2
        dest: .env
    document_root: public

- name: Make it live
  lamp.cluster.release:
    path: /var/www/shop
    state: active
    release: "{{ artifact.release }}"
    shared_paths: [public/uploads]
    templates: *templates
    services: [apache2]
    document_root: public
    url: https://shop.example.com

- name: Remove old releases
  lamp.cluster.release:
    path: /var/www/shop
    state: pruned
    keep: 3
"""

RETURN = r"""
release:
  description: The release that was asked for; empty where O(state=inactive).
  returned: unless O(state) is V(pruned) or V(settled)
  type: str
  sample: 2f1c9a04be7712aa
staged:
  description: That the release is on the host now, or would be after a run without check mode.
  returned: when O(state=staged)
  type: bool
switch_due:
  description: Whether O(state=active) has something to do for this release.
  returned: when O(state=staged)
  type: bool
to_render:
  description: Templates that differ from what the live release may read now, which O(state=active) will change.
  returned: when O(state=staged)
  type: list
  elements: str
  sample: [.env]
sent_bytes:
  description: The size of the package that was sent to this host.
  returned: when O(state=staged) and it was sent
  type: int
removed:
  description: The releases that were removed.
  returned: when O(state) is V(staged), V(absent) or V(pruned)
  type: list
  elements: str
current:
  description: The release that is live, read from the link; empty where there is none.
  returned: success
  type: str
  sample: 2f1c9a04be7712aa
previous:
  description: The last good release that was live before it; empty where there is none.
  returned: success
  type: str
  sample: 81be22d5cf0a9a31
releases:
  description: The releases on the host.
  returned: success
  type: list
  elements: dict
  contains:
    release:
      description: Its name.
      type: str
    staged_at:
      description: When it was staged, in UTC.
      type: str
    active:
      description: Whether it is live.
      type: bool
    rejected:
      description: Why it is not to come back; empty for a good one.
      type: str
reloaded:
  description: The services that were reloaded.
  returned: when O(state) is V(active) or V(inactive)
  type: list
  elements: str
  sample: [apache2]
kept:
  description: The files that are kept for O(run), as they were before it, by their paths below O(path).
  returned: when O(state) is V(active) or V(inactive)
  type: list
  elements: str
  sample: [releases/2f1c9a04be7712aa/.env]
tests:
  description: What each of O(tests) found, up to the first that failed, as M(lamp.cluster.smoke_test) returns it.
  returned: when O(state=active), unless in check mode
  type: list
  elements: dict
  sample: [{path: /health.php, passed: true, faults: [], seconds: 0.004}]
reload_pending:
  description: Services that still have to be reloaded.
  returned: when a reload failed
  type: list
  elements: str
error_code:
  description: What failed, such as V(release_not_staged).
  returned: on failure
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._module import ArgumentSpec, run
from ansible_collections.lamp.cluster.plugins.module_utils._release.work import Work
from ansible_collections.lamp.cluster.plugins.module_utils._smoke_test import (
    REQUEST_OPTIONS,
    TEST_OPTIONS,
    SmokeTester,
    check,
)

NEED_A_RELEASE = ["staged", "active", "absent", "rejected"]
TEMPLATE_OPTIONS = {
    "src": {"type": "str", "required": True},
    "dest": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0640"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
}


def release(module: AnsibleModule) -> dict[str, t.Any]:
    """Do what O(state) says; say a plain refusal of the system in words."""
    try:
        result = Work(module.params, module.check_mode).run()
    except OSError as error:
        raise LampError(
            "release_io",
            f"{error.filename or module.params['path']}: {error.strerror}.",
            "Run the play as root, and see that the disk is writable.",
        ) from error
    if module.params["state"] == "active" and module.params["tests"] and not module.check_mode:
        result["tests"] = smoke_test(module.params)
    return result


def smoke_test(params: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """Ask the release that is live now. :raises LampError: ``smoke_test_failed``"""
    asked = {**params, "base_url": params["url"]}
    check(asked)
    return SmokeTester.of(asked).run(params["tests"])


def main() -> None:
    spec = ArgumentSpec(
        {
            "path": {"type": "path", "required": True},
            "state": {
                "type": "str",
                "choices": [*NEED_A_RELEASE, "inactive", "pruned", "settled"],
                "default": "staged",
            },
            "release": {"type": "str"},
            "artifact": {"type": "path"},
            "package": {"type": "str", "no_log": True},  # a megabyte that no log wants
            "base": {"type": "str", "default": ""},
            "manifest": {"type": "str", "no_log": True},
            "templates": {"type": "list", "elements": "dict", "default": [], "options": TEMPLATE_OPTIONS},
            "rendered": {"type": "str", "no_log": True},
            "shared_paths": {"type": "list", "elements": "str", "default": []},
            "writable_paths": {"type": "list", "elements": "str", "default": []},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "writable_owner": {"type": "str", "default": "www-data"},
            "writable_group": {"type": "str", "default": "www-data"},
            "services": {"type": "list", "elements": "str", "default": []},
            "document_root": {"type": "str"},
            "url": {"type": "str", "default": "http://localhost"},
            "address": {"type": "str"},
            "bypass_token": {"type": "str", "no_log": True},
            **REQUEST_OPTIONS,
            "tests": {"type": "list", "elements": "dict", "default": [], "options": TEST_OPTIONS},
            "patience": {"type": "float", "default": 0},
            "keep": {"type": "int", "default": 5},
            "reason": {"type": "str", "default": "rolled back"},
            "force": {"type": "bool", "default": False},
            "run": {"type": "str", "default": ""},
            "restore": {"type": "bool", "default": False},
        },
        required_if=[("state", state, ("release",)) for state in NEED_A_RELEASE],
    )
    run(spec.create_module(), release)


if __name__ == "__main__":
    main()
