# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of one bed: key, known hosts, secrets and inventory, in a folder of its own under .cache/bed/."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

from .machine import CACHE, run

GROUPS = ("web", "lb", "db")


class Files:
    """Where a bed keeps what it must remember."""

    def __init__(self, name: str) -> None:
        self.folder = CACHE / name
        self.key = self.folder / "id_ed25519"
        self.authorized_keys = self.folder / "authorized_keys"
        self.known_hosts = self.folder / "known_hosts"
        self.inventory = self.folder / "inventory.yml"
        self.secrets = self.folder / "secrets.yml"
        self.state = self.folder / "state.json"
        self.disks = self.folder / "disks"
        control = self.folder / "cp"
        # A socket's path may have 108 bytes, of which ssh takes some for itself.
        self.control = control if len(str(control)) < 75 else Path(f"/tmp/lamp-bed-{os.getuid()}-{name}")  # noqa: S108

    def make(self) -> None:
        """Make folder, key and secrets, where missing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.control.mkdir(mode=0o700, exist_ok=True)
        if not self.key.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lamp-bed", "-f", str(self.key))
        shutil.copyfile(self.key.with_suffix(".pub"), self.authorized_keys)
        self.authorized_keys.chmod(0o600)
        if not self.secrets.exists():
            write_private(self.secrets, f"---\nshop_db_password: {secrets.token_urlsafe(24)}\n")

    def read_secrets(self) -> dict[str, str]:
        """The secrets by variable name."""
        lines = self.secrets.read_text().splitlines()[1:]
        return dict(line.split(": ", 1) for line in lines)  # type: ignore[misc]

    def ssh_options(self) -> list[str]:
        """The options by which ssh reaches a host of this bed and trusts only its key."""
        return [
            *("-i", str(self.key)),
            *("-o", f"UserKnownHostsFile={self.known_hosts}"),
            *("-o", "GlobalKnownHostsFile=/dev/null"),
            *("-o", "StrictHostKeyChecking=yes"),
            *("-o", "IdentitiesOnly=yes"),
            *("-o", "PasswordAuthentication=no"),
            *("-o", "ConnectTimeout=10"),
            *("-o", "ServerAliveInterval=3"),
            *("-o", "ServerAliveCountMax=2"),
            *("-o", "LogLevel=ERROR"),
        ]

    def ansible_vars(self) -> dict[str, Any]:
        """How Ansible reaches the hosts."""
        return {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": " ".join(self.ssh_options()[2:]),
            "ansible_ssh_args": "-o ControlMaster=auto -o ControlPersist=60s",
            "ansible_control_path_dir": str(self.control),
            "ansible_ssh_pipelining": True,
            "ansible_python_interpreter": "/usr/bin/python3",
        }

    def write_inventory(self, hosts: dict[str, dict[str, str]], variables: dict[str, Any]) -> None:
        """Write the inventory; private, because the application's database password is in it."""
        groups: dict[str, Any] = {group: {"hosts": {}} for group in GROUPS}
        for name, host in hosts.items():
            groups[host["group"]]["hosts"][name] = {"ansible_host": host["address"]}
        everything = {**self.ansible_vars(), **variables, **self.read_secrets()}
        write_private(self.inventory, to_yaml({"all": {"vars": everything, "children": groups}}))

    def close_masters(self) -> None:
        """End the ssh connections that Ansible keeps: they would be used again for the next host of that address."""
        for socket in self.control.glob("*") if self.control.exists() else ():
            with contextlib.suppress(subprocess.SubprocessError):
                command = ["ssh", "-O", "exit", "-o", f"ControlPath={socket}", "bed"]
                subprocess.run(command, capture_output=True, timeout=10, check=False)
            socket.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove everything."""
        self.close_masters()
        shutil.rmtree(self.control, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner ever could read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)


def to_yaml(data: dict[str, Any]) -> str:
    """Nested mappings as block YAML; scalars in JSON's spelling, which YAML understands."""

    def lines(mapping: dict[str, Any], indent: str) -> list[str]:
        found = []
        for key, value in mapping.items():
            if isinstance(value, dict) and value:
                found += [f"{indent}{key}:", *lines(value, indent + "  ")]
            else:
                found.append(f"{indent}{key}: {json.dumps(value)}")
        return found

    return "---\n" + "\n".join(lines(data, "")) + "\n"
