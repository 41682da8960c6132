#!/usr/bin/python
# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_server
short_description: Take one server out of HAProxy's balancing, and put it back, with proof
version_added: 1.0.0
description:
  - Changes a server's state through HAProxy's runtime API. No file is touched and nothing is reloaded.
  - V(drained) and V(disabled) succeed only when HAProxy shows the state; then they wait for the requests that the
    server works on.
  - V(enabled) succeeds only when HAProxy shows the state and gives the server requests, that is when its health check
    passes. A server that was V(disabled) was not checked meanwhile; it gets no request before its checks have passed
    anew.
  - Several HAProxies are changed together. All are asked first, so that a wrong name or a server that cannot be
    spared changes none of them.
  - HAProxy forgets a server's state when it is reloaded, unless it is configured to load it from a file.
author: The lamp.cluster developers (@lamp-cluster)
extends_documentation_fragment:
  - lamp.cluster.attributes
  - lamp.cluster.attributes.actiongroup
options:
  server:
    description: The server's name in HAProxy's configuration.
    type: str
    required: true
  backends:
    description: The backends to change it in. By default all that have a server of this name.
    type: list
    elements: str
    default: []
  state:
    description:
      - V(drained) takes no new visitors. Those whom a cookie or a stick table ties to this server still get there.
        Health checks go on, so that V(enabled) afterwards knows the truth. A server that is V(disabled) already gets
        fewer requests still, and is left so.
      - V(disabled) takes no new requests at all; visitors who are tied to it go to another server.
      - V(enabled) takes requests again.
    type: str
    choices: [drained, disabled, enabled]
    required: true
  previous:
    description:
      - RV(servers) of the call that took the server out. In a place where it took no requests by then, as somebody else
        had taken it out there, it is left as it is.
      - By default it is not known, and nothing is left.
    type: list
    elements: dict
    default: []
    suboptions:
      socket:
        description: The runtime API of that HAProxy, as in O(sockets).
        type: str
        required: true
      backend:
        description: The backend.
        type: str
        required: true
      previous_state:
        description: Its state there before.
        type: str
        choices: [drained, disabled, enabled]
        required: true
  sockets:
    description:
      - The runtime API of each HAProxy, as this host reaches it. A path, or C(host:port) where a C(stats socket)
        listens on TCP. It must have C(level admin).
    type: list
    elements: str
    default: [/run/haproxy/admin.sock]
  min_others:
    description:
      - How many other servers of each backend must take requests before this one is taken out. With V(0) the last one
        can be taken out, too, and visitors get HAProxy's error page.
    type: int
    default: 1
  drain_timeout:
    description: Seconds to wait for the requests that the server works on.
    type: float
    default: 30
  on_drain_timeout:
    description: Whether requests that still run after O(drain_timeout) are a failure. The server stays out then.
    type: str
    choices: [continue, fail]
    default: continue
  enable_timeout:
    description: Seconds to wait until the server gets requests again, for which its checks must pass C(rise) times.
    type: float
    default: 30
"""

EXAMPLES = r"""
- name: Take this web host out of both load balancers, one host at a time
  lamp.cluster.haproxy_server:
    server: "{{ inventory_hostname }}"
    backends: [web]
    state: drained
  delegate_to: "{{ item }}"
  loop: "{{ groups['lb'] }}"
  throttle: 1

- name: Put it back; the task ends when its health check passes
  lamp.cluster.haproxy_server:
    server: "{{ inventory_hostname }}"
    backends: [web]
    state: enabled
  delegate_to: "{{ item }}"
  loop: "{{ groups['lb'] }}"

- name: The same in one call, where the runtime APIs listen on a management network
  lamp.cluster.haproxy_server:
    server: "{{ inventory_hostname }}"
    state: drained
    sockets: [10.0.0.11:9999, 10.0.0.12:9999]
    on_drain_timeout: fail
"""

RETURN = r"""
state:
  description: The state that was asked for and is proven.
  returned: success
  type: str
  sample: drained
servers:
  description: Where the server was found, without what O(previous) leaves as it is, and its state before.
  returned: success, and failure once it was found
  type: list
  elements: dict
  contains:
    socket:
      description: The runtime API of that HAProxy.
      type: str
    backend:
      description: The backend.
      type: str
    previous_state:
      description: V(enabled), V(drained) or V(disabled).
      type: str
  sample: [{socket: /run/haproxy/admin.sock, backend: web, previous_state: enabled}]
was_enabled:
  description: Whether it took requests before, in one of these places at least.
  returned: success, and failure once it was found
  type: bool
drained:
  description: Whether the server works on no request.
  returned: when the server was taken out
  type: bool
in_flight:
  description: How many requests it still worked on.
  returned: when the server was taken out
  type: int
drain_seconds:
  description: How long it took.
  returned: when the server was taken out
  type: float
error_code:
  description: What failed, such as V(haproxy_last_server).
  returned: on failure
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._haproxy.runtime import connect_all
from ansible_collections.lamp.cluster.plugins.module_utils._haproxy.servers import (
    Place,
    apply,
    await_drained,
    await_usable,
    check_others,
    find,
)
from ansible_collections.lamp.cluster.plugins.module_utils._module import ArgumentSpec, run

PREVIOUS_OPTIONS = {
    "socket": {"type": "str", "required": True},
    "backend": {"type": "str", "required": True},
    "previous_state": {"type": "str", "choices": ["drained", "disabled", "enabled"], "required": True},
}
SATISFIED_BY = {"drained": ("drained", "disabled"), "disabled": ("disabled",), "enabled": ("enabled",)}


def shown(places: list[Place], states: list[str]) -> str:
    """The states in words for the diff."""
    return "".join(f"{place}: {state}\n" for place, state in zip(places, states))


def change(module: AnsibleModule) -> dict[str, t.Any]:
    """Bring the server into the state where that is due, and tell of its state before, also on a failure."""
    params = module.params
    left = [(place["socket"], place["backend"]) for place in params["previous"] if place["previous_state"] != "enabled"]
    found = find(connect_all(params["sockets"]), params["server"], params["backends"])
    places = [place for place in found if (place.runtime.address, place.backend) not in left]
    before = [place.look().state for place in places]
    servers = [
        {"socket": place.runtime.address, "backend": place.backend, "previous_state": state}
        for place, state in zip(places, before)
    ]
    told = {"servers": servers, "was_enabled": "enabled" in before}
    try:
        return {**told, **bring(module, places, before)}
    except LampError as error:
        error.details.update(told)
        raise


def bring(module: AnsibleModule, places: list[Place], before: list[str]) -> dict[str, t.Any]:
    """Bring the server into the state and wait for what the state promises."""
    params = module.params
    late = [place for place, state in zip(places, before) if state not in SATISFIED_BY[params["state"]]]
    after = [params["state"] if place in late else state for place, state in zip(places, before)]
    result: dict[str, t.Any] = {
        "changed": bool(late),
        "state": params["state"],
        "diff": {"before": shown(places, before), "after": shown(places, after)},
    }
    if params["state"] != "enabled":
        check_others([place for place, state in zip(places, before) if state == "enabled"], params["min_others"])
    if module.check_mode:
        return result
    apply(late, params["state"])
    if params["state"] == "enabled":
        await_usable(places, params["enable_timeout"])
        return result
    result.update(await_drained(places, params["drain_timeout"]))
    if not result["drained"] and params["on_drain_timeout"] == "fail":
        raise LampError(
            "haproxy_not_drained",
            f"{params['server']} still works on {result['in_flight']} requests after {params['drain_timeout']:g} s.",
            "It gets no new ones. Wait for them, or end them, and run the same command again.",
            **{key: result[key] for key in ("drained", "in_flight", "drain_seconds")},
        )
    return result


def main() -> None:
    spec = ArgumentSpec(
        {
            "server": {"type": "str", "required": True},
            "backends": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["drained", "disabled", "enabled"], "required": True},
            "previous": {"type": "list", "elements": "dict", "default": [], "options": PREVIOUS_OPTIONS},
            "sockets": {"type": "list", "elements": "str", "default": ["/run/haproxy/admin.sock"]},
            "min_others": {"type": "int", "default": 1},
            "drain_timeout": {"type": "float", "default": 30},
            "on_drain_timeout": {"type": "str", "choices": ["continue", "fail"], "default": "continue"},
            "enable_timeout": {"type": "float", "default": 30},
        }
    )
    run(spec.create_module(), change)


if __name__ == "__main__":
    main()
