#!/usr/bin/python
# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance_info
short_description: Tell whether a site is blocked, with proof
version_added: 1.0.0
description:
  - Says what M(lamp.cluster.maintenance) left, and only what a request to this very host confirms.
  - A state that is not known is an error; edited rules, a web server that does not answer by them, a block that shows
    something else than it should.
author: The lamp.cluster developers (@lamp-cluster)
extends_documentation_fragment:
  - lamp.cluster.attributes
  - lamp.cluster.attributes.actiongroup
  - lamp.cluster.maintenance
"""

EXAMPLES = r"""
- name: See whether the shop is blocked
  lamp.cluster.maintenance_info:
    name: shop
    probe_url: http://shop.example.com/
  register: shop

- name: Say by whom
  ansible.builtin.debug:
    msg: "Blocked by {{ shop.owner }}"
  when: shop.blocked
"""

RETURN = r"""
blocked:
  description: Whether the site is blocked on this host.
  returned: success
  type: bool
owner:
  description: Who blocks it; empty when nobody does. Of a block that is not wholly there, who left it so.
  returned: success, and with V(maintenance_unknown_state) where something says so
  type: str
  sample: operator
blocked_since:
  description: When the block began, in seconds since 1970.
  returned: when the site is blocked, and as RV(owner)
  type: float
page_message:
  description: What the page says.
  returned: when the site is blocked
  type: str
retry_after:
  description: Seconds after which programs are told to try again.
  returned: when the site is blocked
  type: int
bypass:
  description: Whether a token leads through the block.
  returned: when the site is blocked
  type: bool
error_code:
  description: What failed, such as V(maintenance_unknown_state).
  returned: on failure
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.options import SITE_ARGUMENTS, make_blocker
from ansible_collections.lamp.cluster.plugins.module_utils._module import run


def tell(module: AnsibleModule) -> dict[str, t.Any]:
    """What is proven; nothing is ever changed."""
    state = make_blocker(module.params).examine()
    if state is None:
        return {"changed": False, "blocked": False, "owner": ""}
    return {
        "changed": False,
        "blocked": True,
        "owner": state["owner"],
        "blocked_since": state["since"],
        "page_message": state["message"],
        "retry_after": state["retry_after"],
        "bypass": bool(state["token"]),
    }


def main() -> None:
    run(SITE_ARGUMENTS.create_module(), tell)


if __name__ == "__main__":
    main()
