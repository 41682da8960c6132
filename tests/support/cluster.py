# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bed with the demo application's inventory, and playbooks run against it; the demo and the tests share it."""

from __future__ import annotations

import ipaddress
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support.modules import BIN, COLLECTIONS, ROOT

BED = ROOT / "molecule" / "bed" / "bed"
PREPARE = ROOT / "molecule" / "bed" / "prepare.yml"
VARIABLES = ROOT / "molecule" / "inventory" / "group_vars" / "web.yml"
DEMO_APP = ROOT / "molecule" / "demo_app"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")  # gw0, gw1 … each has a bed of its own
_FIRST_SUBNET = ipaddress.IPv4Address(os.environ.get("LAMP_BED_SUBNET", "10.89.78.0/24").split("/", maxsplit=1)[0])
FIRST_ADDRESS = {"lb": 11, "web": 21, "db": 31}


def subnet(number: int = 0) -> str:
    """The network of this worker's bed; a test that needs another bed beside it takes ``number`` 1 to 9."""
    return f"{_FIRST_SUBNET + 256 * (10 * int(WORKER[2:] or 0) + number)}/24"


SUBNET = subnet()


def address(host: str) -> str:
    """The address of ``web1``, ``db3`` … in the bed of the end-to-end tests."""
    group, number = host[:-1], int(host[-1])
    return str(ipaddress.IPv4Network(SUBNET)[FIRST_ADDRESS[group] + number - 1])


class Cluster:
    """The bed ``name``; ``folder`` gets its inventory and the reports."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.inventory = folder / "inventory.yml"
        self.collections = COLLECTIONS
        self.variables: dict[str, Any] = {}
        self.addresses: dict[str, str] = {}

    def bed(self, *arguments: str) -> str:
        """What a command of the bed prints. :raises AssertionError: with what it said when it fails"""
        command, *rest = arguments
        done = subprocess.run(
            [str(BED), command, "--name", self.name, *rest], capture_output=True, text=True, check=False
        )
        assert not done.returncode, done.stdout + done.stderr
        return done.stdout.strip()

    def up(self, *options: str) -> None:
        """Boot the hosts and write the inventory: all that a playbook needs when run by hand."""
        self.bed("up", *options)
        inventory = self.attach()
        web = inventory["all"]["children"]["web"]
        web["vars"] = {**yaml.safe_load(VARIABLES.read_text()), "deploy_source": str(DEMO_APP / "v3")}
        self.folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(self.inventory, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.write("---\n" + yaml.safe_dump(inventory, sort_keys=False))

    def attach(self) -> dict[str, Any]:
        """Make use of a bed that is up; its own inventory."""
        inventory: dict[str, Any] = yaml.safe_load(Path(self.bed("inventory")).read_text())
        self.variables = inventory["all"]["vars"]
        groups = inventory["all"]["children"].values()
        self.addresses = {name: host["ansible_host"] for group in groups for name, host in group["hosts"].items()}
        return inventory

    @property
    def url(self) -> str:
        """The site, through the load balancer."""
        return str(self.variables["shop_url"])

    def command(self, playbook: str, *arguments: str) -> list[str]:
        """The command line that runs a playbook."""
        return [str(BIN / "ansible-playbook"), "-i", str(self.inventory), playbook, *arguments]

    def environment(self) -> dict[str, str]:
        """What that command needs around it."""
        return {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            "ANSIBLE_STDOUT_CALLBACK": "lamp.cluster.timeline",
            "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
            "LAMP_REPORT_HTML": str(self.folder / "report.html"),
        }

    def playbook(
        self, playbook: str, *arguments: str, show: bool = False, settings: dict[str, str] | None = None
    ) -> Run:
        """Run a playbook to its end; ``show`` lets it print, ``settings`` are environment variables."""
        output = None if show else subprocess.PIPE
        done = subprocess.run(
            self.command(playbook, *arguments), cwd=ROOT, check=False, text=True,
            env={**self.environment(), **(settings or {})},
            stdout=output, stderr=None if show else subprocess.STDOUT,
        )  # fmt: skip
        return Run(done.returncode, done.stdout or "")

    def deploy(self, source: str | Path, *arguments: str, show: bool = False) -> Run:
        """Deploy a release: ``v1`` … of the demo application, or a folder."""
        folder = DEMO_APP / source if isinstance(source, str) else source
        return self.playbook("lamp.cluster.deploy", "-e", f"deploy_source={folder}", *arguments, show=show)

    def ssh(self, address: str, command: str) -> str:
        """What a command on a host prints."""
        key = self.variables["ansible_ssh_private_key_file"]
        options = str(self.variables["ansible_ssh_common_args"]).split()
        return subprocess.run(
            ["ssh", "-i", key, *options, f"root@{address}", command], capture_output=True, text=True, check=True
        ).stdout


class Run:
    """How a playbook ended: ``code``, ``output``."""

    def __init__(self, code: int, output: str) -> None:
        self.code = code
        self.output = output

    @property
    def changed(self) -> int:
        """Changes on all hosts, by the play recap."""
        return sum(int(number) for number in re.findall(r"\bchanged=(\d+)", self.output))
