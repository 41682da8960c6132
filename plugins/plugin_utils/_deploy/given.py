# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this command was given beyond the inventory, and the next one for the same application needs as well."""

from __future__ import annotations

import json
import re
import shlex
import typing as t

from ansible import context
from ansible.errors import AnsibleError
from ansible.parsing.splitter import parse_kv
from ansible.parsing.utils.yaml import from_yaml

# What tells one application from another. Not all that was given: it may be a password, or only meant for this once.
NAMES = re.compile(r"deploy_(hosts|name|path|url|deltas)|maintenance_(name|backend|balancers)")
PLAIN = re.compile(r"[\w./:@+%-]+")


def option(name: str, value: t.Any) -> str:
    """A variable on the command line, as a shell and Ansible read it; what is not plain goes as JSON."""
    if isinstance(value, str) and PLAIN.fullmatch(value):
        return f" -e {name}={value}"
    return f" -e {shlex.quote(json.dumps({name: value}))}"


def given() -> str:
    """Its files of variables, and its variables of NAMES, as options."""
    return "".join(_repeated(one) for one in context.CLIARGS.get("extra_vars") or ())


def _repeated(extra: str) -> str:
    if extra.startswith("@"):
        return f" -e {shlex.quote(extra)}"
    try:
        found = from_yaml(extra) if extra.startswith(("{", "[")) else parse_kv(extra)
    except AnsibleError:
        return ""
    named = found.items() if isinstance(found, dict) else ()
    return "".join(option(name, value) for name, value in named if NAMES.fullmatch(str(name)))
