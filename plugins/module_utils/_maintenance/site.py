# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The block of a site as it lies on the host: a folder of root's, outside of any release.

The web server looks for ``enabled`` at every request, serves ``html/index.html`` and ``json/index.json`` and sends the
contents of ``nonce`` and ``retry-after`` as headers. A client that knows the name of a file in ``bypass`` is let
through: that folder can be entered, but not listed.
"""

from __future__ import annotations

import json
import re
import shutil
import typing as t
from pathlib import Path

from ansible_collections.lamp.cluster.plugins.module_utils import _durable
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

ROOT = "/var/lib/lamp.cluster/maintenance"
State = t.Dict[str, t.Any]


class Site:
    """The folder of one site. ``state`` is what ``enabled`` holds: owner, since, nonce, message, retry_after, token."""

    def __init__(self, name: str, root: str = ROOT) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise LampError(
                "maintenance_bad_name",
                f"{name!r} cannot name a site.",
                "Use letters, digits, dots, dashes and underscores, such as shop.",
            )
        self.folder = Path(root) / name
        self.flag = self.folder / "enabled"

    def read(self) -> State | None:
        """The state of the block in force, or None. :raises LampError: ``maintenance_state_unreadable``"""
        try:
            state = json.loads(self.flag.read_text(encoding="utf-8"))
            return {"owner": state["owner"], "since": float(state["since"]), **state}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LampError(
                "maintenance_state_unreadable",
                f"The block in {self.flag} cannot be understood ({error!r}).",
                "If the site may be open, remove that file; then run the same command again.",
            ) from error

    def write(self, state: State, pages: dict[str, str]) -> None:
        """Put ``state`` in force: the flag appears last, when all that it needs is there."""
        for folder, mode in ((self.folder.parent, 0o755), (self.folder, 0o711), (self.folder / "bypass", 0o711)):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(mode)
        for kind, text in pages.items():
            (self.folder / kind).mkdir(exist_ok=True)
            (self.folder / kind).chmod(0o755)
            _durable.write(self.folder / kind / f"index.{kind}", text, 0o644)
        _durable.write(self.folder / "nonce", state["nonce"], 0o644)
        _durable.write(self.folder / "retry-after", str(state["retry_after"]), 0o644)
        for old in (self.folder / "bypass").iterdir():
            if old.name != state["token"]:
                old.unlink()
        if state["token"]:
            _durable.write(self.folder / "bypass" / state["token"], "", 0o644)
        _durable.write(self.flag, json.dumps(state), 0o600)

    def remove(self) -> None:
        """End the block: the flag goes first, then what belongs to it."""
        self.flag.unlink()
        _durable.sync_folder(self.folder)
        shutil.rmtree(self.folder / "bypass", ignore_errors=True)
