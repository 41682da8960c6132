# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stores that sessions live in, one a file, behind one small interface."""

from __future__ import annotations

import typing as t


class Store(t.Protocol):
    """What a store must be able to do."""

    def count(self) -> int:
        """How many sessions there are now."""

    def purge(self) -> int:
        """Remove sessions, once over; how many were removed. What cannot be removed raises a LampError."""
