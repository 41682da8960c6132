# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases of a deploy, and how a task's name tells which one it belongs to."""

from __future__ import annotations

import re
import typing as t

PHASES = (
    "lock",
    "artifact",
    "stage",
    "plan",
    "block",
    "deltas",
    "switch",
    "purge",
    "smoke",
    "unblock",
    "prune",
    "record",
    "unlock",
    "recover",
)
OTHER = "other"

_NAME = re.compile(r"(?P<phase>[a-z]+) \| (?P<what>.+)", re.DOTALL)


def split_name(name: str) -> tuple[str, str]:
    """The phase and the rest of a task's name: ``block | Show the page`` is ``("block", "Show the page")``.

    What begins with no phase of a deploy belongs to the phase ``other`` and keeps its whole name.
    """
    match = _NAME.fullmatch(name.strip())
    if match and match["phase"] in PHASES:
        return match["phase"], match["what"].strip()
    return OTHER, name.strip()


def named(task: t.Any) -> str:
    """The task's name, with its phase in front where a block around it gives the variable ``deploy_phase``.

    A role that is used in a deploy has task names of its own. What an include is given goes to all that it includes, so
    that an include tells its own phase by another variable, which counts for itself alone.
    """
    name = str(task.name or task.get_name())
    phase = (task.vars or {}).get("deploy_include_phase") or task.get_vars().get("deploy_phase")
    return f"{phase} | {name}" if phase else name
