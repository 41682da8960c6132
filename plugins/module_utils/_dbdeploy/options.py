# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module."""

from __future__ import annotations

from ansible_collections.lamp.cluster.plugins.module_utils._module import ArgumentSpec
from ansible_collections.lamp.cluster.plugins.module_utils._mysql import MYSQL_ARGUMENTS

ARGUMENTS = MYSQL_ARGUMENTS + ArgumentSpec(
    {
        "src": {"type": "path"},
        "remote_src": {"type": "bool", "default": False},
        "deltas": {
            "type": "list",
            "elements": "dict",
            "options": {"name": {"type": "str", "required": True}, "content": {"type": "str", "required": True}},
        },
        "state": {
            "type": "str",
            "choices": ["applied", "undone", "baselined", "sessions_dropped"],
            "default": "applied",
        },
        "to": {"type": "int"},
        "delta_set": {"type": "str", "default": "Main"},
        "changelog_table": {"type": "str", "default": "changelog"},
        "out_of_order": {"type": "str", "choices": ["apply", "skip", "fail"], "default": "apply"},
        "encoding": {"type": "str", "default": "utf-8"},
        "accept_changed": {"type": "bool", "default": False},
        "on_unknown": {"type": "str", "choices": ["fail", "retry", "skip"], "default": "fail"},
        "session_table": {"type": "str", "default": ""},
        "drop_tags": {"type": "list", "elements": "str", "default": []},
        "replaced": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {"deltas": {"type": "list", "elements": "int", "required": True}},
        },
        "output_file": {"type": "path"},
        "undo_output_file": {"type": "path"},
        "allow_unreplicated": {"type": "bool", "default": False},
        "replicas": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {"host": {"type": "str", "required": True}, "port": {"type": "int", "default": 3306}},
        },
        "replica_timeout": {"type": "float", "default": 60},
        "lock_timeout": {"type": "float", "default": 30},
        "lock_wait_timeout": {"type": "int", "default": 60},
    },
    bulk=["deltas"],
    mutually_exclusive=[("src", "deltas")],
    required_if=[
        ("state", "applied", ("src", "deltas"), True),
        ("state", "undone", ("src", "deltas"), True),
        ("state", "undone", ("to",)),
        ("state", "baselined", ("src", "deltas"), True),
    ],
)
