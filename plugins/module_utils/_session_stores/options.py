# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of session_purge, without their documentation."""

from __future__ import annotations

import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _mysql
from ansible_collections.lamp.cluster.plugins.module_utils._module import ArgumentSpec
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.layouts import LAYOUTS

STRING = {"type": "str"}
FLAG = {"type": "bool", "default": False}
STRINGS = {"type": "list", "elements": "str", "default": []}


def of(stores: t.Iterable[str]) -> ArgumentSpec:
    """The options of a module that knows these stores."""
    return _mysql.MYSQL_ARGUMENTS + ArgumentSpec(
        {
            "store": {"type": "str", "choices": list(stores), "required": True},
            "dedicated": FLAG,
            "leftovers": {"type": "str", "choices": ["remove", "leave", "only"], "default": "remove"},
            "older_than": STRING,
            "lifetime": STRING,
            "keep_ids": {**STRINGS, "no_log": True},
            "keep_users": STRINGS,
            "id_pattern": STRING,
            "save_path": {"type": "str", "default": "/var/lib/php/sessions"},
            "owner": STRING,
            "layout": {"type": "str", "choices": list(LAYOUTS), "default": "lamp"},
            "table": STRING,
            "columns": {"type": "dict", "options": {"id": STRING, "user": STRING, "time": STRING}},
            "former": {
                "type": "dict",
                "options": {
                    "table": {"type": "str", "required": True},
                    "rows": {"type": "str", "choices": ["session", "variable"], "default": "session"},
                    "id": STRING,
                    "time": STRING,
                },
            },
            "epoch_table": STRING,
            "epoch_name": {"type": "str", "default": "lamp_session"},
            "where": STRING,
            "lock_wait_timeout": {"type": "int", "default": 5},
            "on_lock": {"type": "str", "choices": ["delete", "wait", "swap"], "default": "delete"},
            "exchange": {"type": "bool", "default": True},
            "servers": STRINGS,
            "prefix": STRING,
            "topology": {"type": "str", "choices": ["single", "cluster", "sentinel"], "default": "single"},
            "sentinel_service": {"type": "str", "default": "mymaster"},
            "sentinel_user": STRING,
            "sentinel_password": {"type": "str", "no_log": True},
            "tls": FLAG,
            "sasl": FLAG,
            "url": STRING,
        },
        required_if=[
            ("store", "mysql", ("login_db",)),
            ("store", "couchdb", ("login_db", "url")),
            ("sasl", True, ("login_user", "login_password")),
        ],
    )
