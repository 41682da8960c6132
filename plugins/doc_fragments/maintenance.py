# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment:
    """The options that name a site and its web server."""

    DOCUMENTATION = r"""
options:
  name:
    description: The site, as the role was told.
    type: str
    required: true
  backend:
    description: The web server that blocks. By default this, like what follows, is as the role left word on the host.
    type: str
    choices: [apache, nginx, haproxy]
  probe_url:
    description: The address whose answer proves the block. Its host name is sent, but the request goes to this host.
    type: str
  probe_address:
    description:
      - Where this host's web server listens, if not on the loopback interface. An address, or C(address:port) if the
        port is not that of O(probe_url); IPv6 in brackets.
    type: str
  proof_timeout:
    description: Seconds after which an answer that is not as it must be is final.
    type: float
    default: 10
  status_port:
    description: Port on the loopback interface where Apache or nginx tells its running requests.
    type: int
  haproxy_socket:
    description: HAProxy's runtime API, with C(level admin).
    type: str
  haproxy_backends:
    description: The backends of HAProxy whose requests are waited for.
    type: list
    elements: str
  config_files:
    description:
      - The files with the rules that the role wrote.
    type: list
    elements: path
  state_dir:
    description: The folder in which the blocks of all sites are. It must be on a disk and belong to root.
    type: path
    default: /var/lib/lamp.cluster/maintenance
"""
