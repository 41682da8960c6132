# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that name a site and its web server, what they make, and where the role left them."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.apache import Apache
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.backend import Backend
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.blocker import Blocker
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.haproxy import HAProxy
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.nginx import Nginx
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.rules import AGAIN
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.site import ROOT, Site
from ansible_collections.lamp.cluster.plugins.module_utils._module import ArgumentSpec

BACKENDS = ["apache", "nginx", "haproxy"]
# What the role leaves on the host, and a user may say otherwise.
RECORDED = {
    "backend": {"type": "str", "choices": BACKENDS},
    "probe_url": {"type": "str"},
    "probe_address": {"type": "str"},
    "status_port": {"type": "int"},
    "haproxy_socket": {"type": "str"},
    "haproxy_backends": {"type": "list", "elements": "str"},
    "config_files": {"type": "list", "elements": "path"},
}
SITE_ARGUMENTS = ArgumentSpec(
    {
        **RECORDED,
        "name": {"type": "str", "required": True},
        "proof_timeout": {"type": "float", "default": 10},
        "state_dir": {"type": "path", "default": ROOT},
    }
)


def make_blocker(params: dict[str, t.Any]) -> Blocker:
    """The Blocker for a module's ``params`` (see SITE_ARGUMENTS). :raises LampError: ``maintenance_not_installed``"""
    site = Site(params["name"], params["state_dir"])
    given = {**_recorded(site), **{name: params[name] for name in RECORDED if params.get(name) is not None}}
    backend: Backend
    if given["backend"] == "haproxy":
        backend = HAProxy(site, given["config_files"], given["haproxy_socket"], given["haproxy_backends"])
    else:
        kind = {"apache": Apache, "nginx": Nginx}[given["backend"]]
        backend = kind(site, given["config_files"], given["status_port"])
    return Blocker(site, backend, given["probe_url"], given["probe_address"], params["proof_timeout"])


def _recorded(site: Site) -> dict[str, t.Any]:
    record = site.folder / "options.json"
    try:
        given = json.loads(record.read_text(encoding="utf-8"))
        if given["backend"] not in BACKENDS or None in given.values():
            raise ValueError
        return {name: given[name] for name in RECORDED}
    except OSError as error:
        why = f"{record} cannot be read: {error.strerror}"
    except (ValueError, KeyError, TypeError):
        why = f"{record} is not as the role wrote it"
    raise LampError("maintenance_not_installed", f"This host cannot block the site: {why}.", AGAIN)
