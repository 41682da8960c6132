#!/usr/bin/python
# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: artifact
short_description: Turn a folder or a tarball into a release, on the controller
version_added: 1.0.0
description:
  - Works out the release's id from its content, and packs it once for all hosts. The same content gives the same id,
    whenever and wherever it was built.
  - Runs on the controller alone, whatever host the task is for. It writes to its cache only, which is no change.
author: The lamp.cluster developers (@lamp-cluster)
extends_documentation_fragment:
  - lamp.cluster.attributes
  - lamp.cluster.attributes.actiongroup
options:
  source:
    description: A folder, or a tarball (compressed or not), on the controller.
    type: path
    required: true
  checksum:
    description: The SHA-256 that a tarball must have, as hexadecimal digits, with or without C(sha256:) before them.
    type: str
    default: ""
  exclude:
    description: Patterns (as of a shell) of names or paths that are left out.
    type: list
    elements: str
    default: [.git]
  cache_dir:
    description: Where the controller keeps what it packed and unpacked.
    type: path
    default: ~/.cache/lamp.cluster
"""

EXAMPLES = r"""
- name: Build the release
  lamp.cluster.artifact:
    source: build/shop
    exclude: [.git, node_modules]
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
