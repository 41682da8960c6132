# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of a role, as its tasks evaluate them."""

from __future__ import annotations

from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.support.modules import ROOT


def evaluated(role: str, expression: str, given: dict[str, Any], kind: str = "vars") -> Any:
    """The expression, with the role's variables (or ``defaults``) and those of ``given``, without our own filters."""
    loader = DataLoader()
    main = ROOT / "roles" / role / kind / "main"
    known: dict[str, Any] = {}
    for path in sorted(main.glob("*.yml")) or [main.with_suffix(".yml")]:  # in a folder Ansible reads all files
        known.update(loader.load_from_file(str(path), trusted_as_template=True))
    return Templar(loader, {**known, **given}).template(trust_as_template(f"{{{{ {expression} }}}}"))
