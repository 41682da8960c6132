# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a path on the controller leads that a user gave."""

from __future__ import annotations

import os
from pathlib import Path

from ansible.parsing.dataloader import DataLoader

OWN_PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"


def on_controller(loader: DataLoader, path: str) -> str:
    """``path``, absolute: relative ones are relative to the playbook, as everywhere in Ansible.

    This collection's own playbooks lie where nobody keeps releases; with them, to the folder of the command.
    """
    if Path(loader.get_basedir()).resolve() == OWN_PLAYBOOKS:
        return os.path.abspath(os.path.expanduser(path))
    return str(loader.path_dwim(path))
