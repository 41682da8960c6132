#!/usr/bin/python
# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: artifact
short_description: Turn a folder, a tarball or a version in Git into a release, on the controller
version_added: 1.0.0
description:
  - Works out the release's id from its content, and packs it once for all hosts. The same content gives the same id,
    whenever and wherever it was built.
  - Runs on the controller alone, whatever host the task is for. It writes to its cache only, which is no change, and
    it does so in check mode, too, as the release must be known to tell what a deploy would do.
author: The lamp.cluster developers (@lamp-cluster)
extends_documentation_fragment:
  - lamp.cluster.attributes
  - lamp.cluster.attributes.actiongroup
options:
  source:
    description:
      - A folder on the controller, as it is.
      - A tarball on the controller (compressed or not), or the address of one that begins with C(https://).
      - A Git repository that begins with C(git+https://), C(git+ssh://) or C(git+file://), or, with O(version), one in
        a folder on the controller. Of it the files that are committed make the release, except those that its
        C(.gitattributes) mark with C(export-ignore). Submodules and pointers of Git LFS are refused.
    type: str
    required: true
  version:
    description: Of a Git repository the branch, tag or commit. By default its default branch.
    type: str
    default: ""
  checksum:
    description:
      - The SHA-256 that a tarball must have, as hexadecimal digits, with or without C(sha256:) before them. Needed for
        an address.
    type: str
    default: ""
  exclude:
    description:
      - Patterns (as of a shell) of names or paths that are left out of the release. V(tests/) is V(tests),
        and V(/tests) is the one at the top alone. What is named C(.git) is always left out.
    type: list
    elements: str
    default: []
  build:
    description:
      - Commands for C(/bin/sh) that make the release, run one after the other in a private copy of the source without
        C(.git). O(exclude) applies to what they leave.
      - The result is kept in O(cache_dir). For the same source and commands they do not run again.
    type: list
    elements: str
    default: []
  cache_dir:
    description:
      - Where the controller keeps what it fetched, built and packed. What of that was not used for 30 days is removed.
    type: path
    default: ~/.cache/lamp.cluster
"""

EXAMPLES = r"""
- name: Build the release
  lamp.cluster.artifact:
    source: build/shop
    exclude: [node_modules]
  register: artifact
  run_once: true

- name: Build it from a tag
  lamp.cluster.artifact:
    source: git+https://git.example.com/shop.git
    version: v1.4.2
    build:
      - composer install --no-dev --classmap-authoritative
      - npm ci && npm run build
    exclude: [node_modules]
  register: artifact
  run_once: true
"""

RETURN = r"""
release:
  description: The id of the release, from its names, executable bits, contents and links.
  returned: success
  type: str
  sample: 2f1c9a04be7712aa
tree:
  description: The release as a folder on the controller.
  returned: success
  type: str
  sample: /home/me/build/shop
archive:
  description: The release as one file on the controller, for M(lamp.cluster.release).
  returned: success
  type: str
  sample: /home/me/.cache/lamp.cluster/2f1c9a04be7712aa.tar.gz
commit:
  description: The commit that was released; empty when the source is not Git.
  returned: success
  type: str
  sample: 8c1f2a7f0a4f0e1f6fd5bb1bd0d15c8f5a3a1f10
files:
  description: How many files it has.
  returned: success
  type: int
bytes:
  description: Their size together.
  returned: success
  type: int
metadata:
  description: What the release's own C(.lamp.yml) says.
  returned: success
  type: dict
  sample: {drop_sessions: true}
drop_sessions:
  description: Whether it asks to drop the users' sessions.
  returned: success
  type: bool
error_code:
  description: What failed, such as V(artifact_no_source).
  returned: on failure
  type: str
"""
