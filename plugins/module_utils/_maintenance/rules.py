# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration that the role wrote: is it there as it was written, and does the web server answer by it?"""

from __future__ import annotations

import hashlib
import re
import typing as t
from pathlib import Path

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

# The role puts it where this word stands in the text, and makes it from the text with the word: an edit changes it.
PLACEHOLDER = "@ID@"
ID = re.compile(r"lamp-rules-id: ([0-9a-f]{32})\b")
AGAIN = "Run the role lamp.cluster.maintenance there again (ansible-playbook lamp.cluster.setup does)."


class Rules:
    """The files of one site on this host."""

    def __init__(self, files: t.Sequence[str], part: str = "") -> None:
        """``part`` is a regular expression for what the role wrote, where a file is not the role's alone."""
        self.files = [Path(file) for file in files]
        self.part = part

    def identify(self) -> str:
        """Their id, which the web server gives when asked for it.

        :raises LampError: ``maintenance_not_installed``, ``maintenance_edited``
        """
        whole = "".join(self._read(file) for file in self.files)
        ids = set(ID.findall(whole))
        if len(ids) == 1:
            (found,) = ids
            if hashlib.sha256(whole.replace(found, PLACEHOLDER).encode()).hexdigest()[:32] == found:
                return found
        raise LampError(
            "maintenance_edited",
            f"The rules of the block are not as the role wrote them: {', '.join(map(str, self.files))} on this host.",
            f"Whether the site would be blocked is unknown. {AGAIN}",
        )

    def _read(self, file: Path) -> str:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise self._absent(f"{file} cannot be read ({error})") from error
        if not self.part:
            return text
        parts = [found.group("text") for found in re.finditer(self.part, text, re.DOTALL | re.MULTILINE)]
        if not parts:
            raise self._absent(f"{file} has no rules of this site")
        return parts[0] if len(set(parts)) == 1 else ""  # the same in each section, or edited

    def _absent(self, reason: str) -> LampError:
        return LampError("maintenance_not_installed", f"This host cannot block the site: {reason}.", AGAIN)
