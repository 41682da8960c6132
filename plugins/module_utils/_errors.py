# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception that this collection's own code raises for what its users can mend."""

from __future__ import annotations

from typing import Any


class LampError(Exception):
    """A failure that a user can act on.

    ``code`` is stable and machine readable (see docs/errors/), ``message`` names the thing and the place,
    ``next_step`` says what to do now. ``details`` become keys of the module's result; they must hold no secret.
    """

    def __init__(self, code: str, message: str, next_step: str = "", **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.next_step = next_step
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} {self.next_step}".strip()

    def as_result(self) -> dict[str, Any]:
        """The keys that a failing module returns: ``msg``, ``error_code`` and the details."""
        return {**self.details, "msg": str(self), "error_code": self.code}
