# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Apache and nginx serve while the site is blocked.

``served`` points to the page of this very block: ``html/index.html`` and ``json/index.json``, and the headers that go
with it. Apache reads those from files; nginx cannot, but it can read them out of the name that ``served`` points to,
which is ``pages/<nonce>-<retry_after>-<hash of the page>``. A client that knows the name of a file in ``bypass`` is let
through: that folder can be entered, but not listed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from ansible_collections.lamp.cluster.plugins.module_utils import _durable
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.files import folder, has, point
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.page import render
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.site import State

KINDS = ("html", "json")


class Served:
    """The page and the tokens of one site, in its folder."""

    def __init__(self, site_folder: Path) -> None:
        self.folder = site_folder
        self.link = site_folder / "served"
        self.pages = site_folder / "pages"
        self.tokens = site_folder / "bypass"

    def publish(self, state: State) -> None:
        """Bring page and headers to what ``state`` says, in one step for those who look, and let its token through.

        A token of before goes on leading through until ``tidy``: while the flag names it, it belongs to the block.
        """
        for path, mode in (
            (self.folder.parent, 0o755),
            (self.folder, 0o711),
            (self.pages, 0o711),
            (self.tokens, 0o711),
        ):
            folder(path, mode)
        pages = render(state["message"], state["retry_after"])
        page = self.pages / _name(state, pages)
        folder(page, 0o755)
        for kind in KINDS:
            folder(page / kind, 0o755)
            _durable.write(page / kind / f"index.{kind}", pages[kind], 0o644)
        _durable.write(page / "nonce", state["nonce"], 0o644)
        _durable.write(page / "retry-after", str(state["retry_after"]), 0o644)
        if state["token"]:
            _durable.write(self.tokens / state["token"], "", 0o644)
        _durable.sync_folder(self.pages)
        before = os.readlink(self.link) if self.link.is_symlink() else ""
        point(self.link, f"pages/{page.name}")
        for old in self.pages.iterdir():  # a request may still be reading the one before
            if old.name not in (page.name, Path(before).name):
                shutil.rmtree(old)

    def tidy(self, state: State) -> None:
        """Let no other token through than that of ``state``."""
        for old in self.tokens.iterdir():
            if old.name != state["token"]:
                old.unlink()
        _durable.sync_folder(self.tokens)

    def shows(self, state: State) -> bool:
        """Whether all that belongs to ``state`` is in place, and no token leads through but its own."""
        tokens = os.listdir(self.tokens) if self.tokens.is_dir() else []
        return self._is_there(state) and tokens == [token for token in [state["token"]] if token]

    def shown(self, state: State) -> State | None:
        """``state`` with what the page says, if that is whole and of the same block; else None.

        It may be the page that a later run, which was cut off, was about to note: it tells itself what it says.
        """
        try:
            page = json.loads((self.link / "json" / "index.json").read_text(encoding="utf-8"))
            found = {**state, "message": page["message"], "retry_after": page["retry_after"]}
            return found if self._is_there(found) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _is_there(self, state: State) -> bool:
        pages = render(state["message"], state["retry_after"])
        return (
            self.link.is_symlink()
            and os.readlink(self.link) == f"pages/{_name(state, pages)}"
            and all(has(self.link / kind / f"index.{kind}", pages[kind]) for kind in KINDS)
            and has(self.link / "nonce", state["nonce"])
            and has(self.link / "retry-after", str(state["retry_after"]))
            and (not state["token"] or (self.tokens / state["token"]).exists())
        )

    def withdraw(self) -> None:
        """Let no token lead through another block. The page stays: a request may be about to read it."""
        shutil.rmtree(self.tokens, ignore_errors=True)


def _name(state: State, pages: dict[str, str]) -> str:
    digest = hashlib.sha256("".join(pages[kind] for kind in KINDS).encode()).hexdigest()
    return f"{state['nonce']}-{state['retry_after']}-{digest[:16]}"
