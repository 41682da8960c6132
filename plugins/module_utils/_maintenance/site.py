# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The block of a site as it lies on the host: a folder of root's, outside of any release.

``enabled`` says that the site is blocked, and all that a later run must know. Apache and nginx block while it is there,
so that it appears last and goes first. HAProxy does not look for it: there it appears first and goes last, as it names
the owner of what a run that was cut off left half done.
"""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

from ansible_collections.lamp.cluster.plugins.module_utils import _durable
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

ROOT = "/var/lib/lamp.cluster/maintenance"
TOKEN = re.compile(r"[A-Za-z0-9]{20,128}")  # what a bypass token is; it becomes a file's name, and a cookie
DEPLOY = "deploy"  # the owner of a block that is a deploy's
KEPT = ("owner", "since", "nonce", "message", "retry_after", "token")
State = t.Dict[str, t.Any]


class Site:
    """The folder of one site. ``state`` is what ``enabled`` holds, all of KEPT."""

    def __init__(self, name: str, root: str = ROOT) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise LampError(
                "maintenance_bad_name",
                f"{name!r} cannot name a site.",
                "Use letters, digits, dots, dashes and underscores, such as shop.",
            )
        self.name = name
        self.folder = Path(root) / name
        self.flag = self.folder / "enabled"

    def read(self) -> State | None:
        """The state of the block in force, or None. :raises LampError: ``maintenance_state_unreadable``"""
        try:
            state = json.loads(self.flag.read_text(encoding="utf-8"))
            return {**{key: state[key] for key in KEPT}, "since": float(state["since"])}
        except FileNotFoundError:
            return None
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
        except (ValueError, KeyError, TypeError):
            why = "is not as a block was written"
        raise LampError(
            "maintenance_state_unreadable",
            f"The block in {self.flag} {why}.",
            "If the site may be open, remove that file; then run the same command again.",
        )

    def write(self, state: State) -> None:
        """Say that the site is blocked."""
        _durable.write(self.flag, json.dumps(state), 0o600)

    def remove(self) -> None:
        """Say that it is open."""
        try:
            self.flag.unlink()
        except FileNotFoundError:
            return
        _durable.sync_folder(self.folder)
