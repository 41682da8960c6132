#!/usr/bin/python
# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance
short_description: Block a site behind a maintenance page, and open it again, with proof
version_added: 1.0.0
description:
  - Every request to the site is answered with status 503 and a maintenance page, for people or for programs, until the
    block is taken away. No reload of the web server is needed, and the block survives a reboot.
  - V(enabled) succeeds only when this very host was seen blocked; then it waits for the requests that were running.
  - V(disabled) succeeds only when this host was seen to answer without the block. The block of a deploy, behind which
    the database may be half changed, is taken away by that deploy, or by O(force).
  - A site that sends who asks for O(probe_url) to another address, such as from HTTP to HTTPS, is blocked only if this
    host answers there by the rules of the block, too, or nothing of it listens there.
  - The role P(lamp.cluster.maintenance#role) prepares the web server for it once. A web server that does not answer by
    the rules of that role, or rules that were edited, are an error before anything is changed.
author: The lamp.cluster developers (@lamp-cluster)
extends_documentation_fragment:
  - lamp.cluster.attributes
  - lamp.cluster.attributes.actiongroup
  - lamp.cluster.maintenance
options:
  state:
    description: Whether the site is to be blocked.
    type: str
    choices: [enabled, disabled]
    default: enabled
  page_message:
    description: What the page says. It is text; HTML in it is shown as it is.
    type: str
    default: The site is being updated. Thank you for your patience.
  retry_after:
    description: Seconds after which programs may try again (the header C(Retry-After)).
    type: int
    default: 120
  bypass_token:
    description:
      - A secret of 20 to 128 letters and digits. Requests with this value in the header C(X-Lamp-Bypass) or the cookie
        C(lamp_bypass) are not blocked, and C(/.lamp-bypass/<token>) sets that cookie.
      - Without it nobody gets through.
      - A deploy, which has one of its own, tells by it that the block that it takes away is still its own.
    type: str
  owner:
    description:
      - Who blocks, or takes the block away. A deploy tells by it a block of its own from an operator's.
      - Who blocks what a deploy has blocked gives that another page. The block stays the deploy's, and its
        O(bypass_token).
    type: str
    default: operator
  force:
    description:
      - Take away the block of another deploy as well. To block with it what a deploy has blocked makes that the block
        of O(owner), which that deploy does not take away any more.
    type: bool
    default: false
  drain_timeout:
    description: Seconds to wait for requests that began before the block.
    type: float
    default: 30
  on_drain_timeout:
    description: Whether requests that still run after O(drain_timeout) are a failure. The site stays blocked then.
    type: str
    choices: [continue, fail]
    default: continue
"""

EXAMPLES = r"""
- name: Block the shop
  lamp.cluster.maintenance:
    name: shop
    state: enabled
    page_message: We move to a larger house. Back at six.
    probe_url: http://shop.example.com/

- name: Block it on the load balancer
  lamp.cluster.maintenance:
    name: shop
    backend: haproxy
    haproxy_backends: [web]
    state: enabled
    probe_url: http://shop.example.com/
  delegate_to: lb1

- name: Open it again
  lamp.cluster.maintenance:
    name: shop
    state: disabled
    probe_url: http://shop.example.com/
"""

RETURN = r"""
state:
  description: The state that was asked for and is proven.
  returned: success
  type: str
  sample: enabled
owner:
  description: Who blocks the site now; empty when nobody does.
  returned: success
  type: str
  sample: deploy
previous_owner:
  description: Who blocked the site before; empty when nobody did.
  returned: success
  type: str
  sample: ""
marker_seen:
  description: Whether a request to this host was seen blocked. Always V(false) in check mode.
  returned: success
  type: bool
drained:
  description: Whether all requests that began before the block were answered.
  returned: when a block was put in force
  type: bool
in_flight:
  description: How many were not answered.
  returned: when a block was put in force
  type: int
drain_seconds:
  description: How long it took.
  returned: when a block was put in force
  type: float
blocked_since:
  description: When the block began, in seconds since 1970.
  returned: when the site is or was blocked
  type: float
blocked_seconds:
  description: How long the site was blocked on this host.
  returned: when a block was taken away
  type: float
error_code:
  description: What failed, such as V(maintenance_not_proven).
  returned: on failure
  type: str
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.blocker import Blocker
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.options import SITE_ARGUMENTS, make_blocker
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.site import DEPLOY, State
from ansible_collections.lamp.cluster.plugins.module_utils._module import ArgumentSpec, run


def shown(state: State | None, before: State | None = None) -> str:
    """A block in words for the diff; the token is left out, but that it is not the one of ``before``."""
    if state is None:
        return "open\n"
    other = before is not None and before["token"] not in ("", state["token"])
    bypass = "nobody" if not state["token"] else "with another token" if other else "with a token"
    return (
        f"blocked by {state['owner']}\nmessage: {state['message']}\nretry_after: {state['retry_after']}\n"
        f"bypass: {bypass}\n"
    )


def enable(module: AnsibleModule, blocker: Blocker) -> dict[str, t.Any]:
    """Block the site, and wait for the requests that run."""
    params = module.params
    before = blocker.site.read()
    owner, token = params["owner"], params["bypass_token"] or ""
    if before and is_a_deploys(before, params) and not params["force"]:
        owner, token = before["owner"], before["token"]
    after = blocker.wanted(params["page_message"], params["retry_after"], token, owner)
    result: dict[str, t.Any] = {
        "changed": not blocker.backend.shows(after) or before != after,  # refuses a page that cannot be shown
        "owner": after["owner"],
        "previous_owner": before["owner"] if before else "",
        "blocked_since": after["since"],
        "diff": {"before": shown(before), "after": shown(after, before)},
    }
    if before is None:
        blocker.backend.in_flight(0)  # whether it can be told must show before the site is blocked
        blocker.check_way_on()
    if module.check_mode:
        return {**result, "marker_seen": False}
    if result["changed"]:
        blocker.enable(after)
    else:
        blocker.prove_blocked(after)
    result.update(blocker.drain(params["drain_timeout"]))
    if not result["drained"] and params["on_drain_timeout"] == "fail":
        raise LampError(
            "maintenance_not_drained",
            f"{result['in_flight']} requests still run {params['drain_timeout']} s after the block.",
            "The site is blocked. Wait for them, or end them, and run the same command again.",
            **{key: result[key] for key in ("drained", "in_flight", "drain_seconds")},
        )
    return {**result, "marker_seen": True}


def is_a_deploys(before: State, params: dict[str, t.Any]) -> bool:
    """Whether it is a deploy's, behind which code and database may not fit each other, and somebody else asks."""
    return before["owner"] == DEPLOY and params["owner"] != DEPLOY


def refuse_others(before: State, params: dict[str, t.Any]) -> None:
    """Return when who asks may take this block away: a deploy its own, everybody else those of no deploy.

    :raises LampError: ``maintenance_other_owner``
    """
    if is_a_deploys(before, params):
        raise LampError(
            "maintenance_other_owner",
            f"A deploy or a rollback has blocked {params['name']}, and code and database may not fit each other.",
            "ansible-playbook lamp.cluster.status says where it stands, and the command that goes on and opens it. To"
            " open it as it is, run again with -e maintenance_force=true.",
        )
    if params["owner"] == DEPLOY and (before["owner"], before["token"]) != (DEPLOY, params["bypass_token"] or ""):
        raise LampError(
            "maintenance_other_owner",
            f"{'Another deploy' if before['owner'] == DEPLOY else before['owner']} has taken over the block of"
            f" {params['name']} since, so that it stays.",
            "ansible-playbook lamp.cluster.status says where it stands.",
        )


def disable(module: AnsibleModule, blocker: Blocker) -> dict[str, t.Any]:
    """Open the site."""
    before = blocker.site.read()
    if before and not module.params["force"]:
        refuse_others(before, module.params)
    result: dict[str, t.Any] = {
        "changed": before is not None or blocker.backend.lingers(),
        "owner": "",
        "previous_owner": before["owner"] if before else "",
        "marker_seen": False,
        "diff": {"before": shown(before), "after": shown(None)},
    }
    if before:
        result["blocked_since"] = before["since"]
    if module.check_mode:
        return result
    if result["changed"]:
        blocker.backend.withdraw()
    blocker.prove_open(before)
    if before:
        result["blocked_seconds"] = round(time.time() - before["since"], 3)
    return result


def maintain(module: AnsibleModule) -> dict[str, t.Any]:
    """Do what O(state) says."""
    blocker = make_blocker(module.params)
    blocker.check_rules()
    action = enable if module.params["state"] == "enabled" else disable
    try:
        return {"state": module.params["state"], **action(module, blocker)}
    except OSError as error:
        raise LampError(
            "maintenance_io",
            f"The block of {blocker.site.name} cannot be written: {error}.",
            "Run the play as root, and see that the disk is not full; then run the same command again: it brings all of"
            " it to one state.",
        ) from error


def main() -> None:
    spec = SITE_ARGUMENTS + ArgumentSpec(
        {
            "state": {"type": "str", "choices": ["enabled", "disabled"], "default": "enabled"},
            "page_message": {"type": "str", "default": "The site is being updated. Thank you for your patience."},
            "retry_after": {"type": "int", "default": 120},
            "bypass_token": {"type": "str", "no_log": True},
            "owner": {"type": "str", "default": "operator"},
            "force": {"type": "bool", "default": False},
            "drain_timeout": {"type": "float", "default": 30},
            "on_drain_timeout": {"type": "str", "choices": ["continue", "fail"], "default": "continue"},
        }
    )
    run(spec.create_module(), maintain)


if __name__ == "__main__":
    main()
