#!/usr/bin/python
# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: smoke_test
short_description: Ask an application on this host whether it answers as it should
version_added: 1.0.0
description:
  - Sends requests to the web server of the host that the module runs on, through any maintenance block when given its
    token, and compares the answers.
  - All tests are one module call; the first that fails fails the module.
author: The lamp.cluster developers (@lamp-cluster)
extends_documentation_fragment:
  - lamp.cluster.attributes
  - lamp.cluster.attributes.actiongroup
  - lamp.cluster.smoke_tests
attributes:
  diff_mode:
    support: none
    description: A smoke test changes nothing, so that there is never a difference to show.
options:
  base_url:
    description: The site's address as its users know it. Its host name is sent, but the request goes to O(address).
    type: str
    required: true
  address:
    description: Where the request goes, as V(host) or V(host:port). By default to the port of O(base_url) on this host.
    type: str
  bypass_token:
    description: Token that leads through the block, as given to M(lamp.cluster.maintenance).
    type: str
  patience:
    description: Seconds during which a test that fails is tried again.
    type: float
    default: 0
  validate_certs:
    description: Whether the certificate must be valid for O(base_url). Off by default as it stays on this host.
    type: bool
    default: false
  tests:
    description: The tests, run in their order.
    required: true
"""

EXAMPLES = r"""
- name: The shop answers with the release that was switched to
  lamp.cluster.smoke_test:
    base_url: http://shop.example.com
    tests:
      - path: /health.php
        json:
          release: 2f1c9a04be77
      - path: /
        contains: Welcome
"""

RETURN = r"""
tests:
  description: What each test found, up to the first that failed.
  returned: always, once the options are valid
  type: list
  elements: dict
  contains:
    path:
      description: The path that was asked for.
      type: str
    passed:
      description: Whether the answer was as expected.
      type: bool
    faults:
      description: What was wrong with it.
      type: list
      elements: str
    seconds:
      description: How long the test took, with all tries.
      type: float
  sample: [{path: /health.php, passed: true, faults: [], seconds: 0.004}]
error_code:
  description: V(smoke_test_failed), or V(smoke_test_bad_url), V(smoke_test_bad_address), V(smoke_test_bad_token),
    V(smoke_test_bad_path), V(smoke_test_bad_header) for options that cannot be sent.
  returned: on failure
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lamp.cluster.plugins.module_utils._module import ArgumentSpec, run
from ansible_collections.lamp.cluster.plugins.module_utils._smoke_test import (
    REQUEST_OPTIONS,
    TEST_OPTIONS,
    SmokeTester,
    check,
)


def smoke_test(module: AnsibleModule) -> dict[str, t.Any]:
    """Run the tests; nothing is ever changed, so that check mode is the same."""
    params = module.params
    check(params)
    return {"changed": False, "tests": SmokeTester.of(params).run(params["tests"])}


def main() -> None:
    spec = ArgumentSpec(
        {
            "base_url": {"type": "str", "required": True},
            "address": {"type": "str"},
            "bypass_token": {"type": "str", "no_log": True},
            **REQUEST_OPTIONS,
            "patience": {"type": "float", "default": 0},
            "validate_certs": {"type": "bool", "default": False},
            "tests": {"type": "list", "elements": "dict", "required": True, "options": TEST_OPTIONS},
        }
    )
    run(spec.create_module(), smoke_test)


if __name__ == "__main__":
    main()
