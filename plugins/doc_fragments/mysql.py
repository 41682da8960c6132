# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection options of everything that talks to MariaDB or MySQL (module_utils/_mysql.py)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  login_host:
    description: The server's host name or address, as seen from the host that runs the module.
    type: str
    default: localhost
  login_port:
    description: The server's TCP port.
    type: int
    default: 3306
  login_user:
    description: The user to connect as. Without it, the one of O(config_file).
    type: str
  login_password:
    description: The password of O(login_user). Without it, the one of O(config_file).
    type: str
  login_unix_socket:
    description: Path of the server's Unix socket; used instead of O(login_host) and O(login_port).
    type: path
  login_db:
    description: The database to work in.
    type: str
  config_file:
    description: An option file of the MySQL client on the host that runs the module; its C([client]) section is read.
    type: path
  connect_timeout:
    description: Seconds to wait for the connection.
    type: int
    default: 30
  ca_cert:
    description: Path of the certificate authority's certificate; makes the connection use TLS and verify the server.
    type: path
    aliases: [ssl_ca]
  client_cert:
    description: Path of the client's certificate.
    type: path
    aliases: [ssl_cert]
  client_key:
    description: Path of the client certificate's key.
    type: path
    aliases: [ssl_key]
  check_hostname:
    description:
      - Whether the server's name must match its certificate. V(true) takes O(ca_cert), or C(ssl-ca) in O(config_file).
    type: bool
requirements:
  - PyMySQL >= 1.0.2 (Debian, python3-pymysql) on the host that runs the module
"""
