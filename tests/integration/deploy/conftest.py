# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller whose plays use the role: its web hosts and load balancer are this machine, in folders of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.integration.maintenance.conftest import BlockableSite
from tests.support.modules import BIN, COLLECTIONS


class Controller:
    """An inventory with the web hosts a and b, a spare one and a load balancer, and plays against it."""

    def __init__(self, site: BlockableSite, folder: Path) -> None:
        self.site = site
        self.folder = folder
        self.output = ""
        (folder / "hosts").write_text("[web]\na\nb\n[spare]\nc\n[balancers]\nlb\n")
        place = f"{folder}/{{{{ inventory_hostname }}}}"
        self.defaults = {
            "deploy_lock": {"path": f"{folder}/locks"},
            "deploy_record": {"path": f"{place}/journal"},
            "deploy_info": {"journal_path": f"{place}/journal"},
            "artifact": {"cache_dir": f"{folder}/cache"},
        }
        self.variables = {
            **site.variables,
            "maintenance_balancers": ["lb"],
            "deploy_path": f"{place}/{{{{ deploy_name }}}}",
            "deploy_url": site.address,
            "deploy_deltas": "",
            "deploy_smoke_patience": 0,
            "release_services": [],
            "release_writable_owner": "root",
            "release_writable_group": "root",
            "ansible_python_interpreter": sys.executable,
        }

    def deploy(self, name: str, version: str, *, tagged: bool = False, **variables: Any) -> dict[str, Any]:
        """The task that deploys this version of an application."""
        source = self.folder / f"{name}-{version}"
        source.mkdir(exist_ok=True)
        (source / "index.php").write_text(f"<?php echo '{name} {version}';")
        if tagged:
            (source / ".lamp.yml").write_text("drop_sessions: true\n")
        return role("main", deploy_name=name, deploy_source=str(source), **variables)

    def play(self, tasks: list[dict[str, Any]], **keywords: Any) -> dict[str, Any]:
        """A play for the web hosts."""
        return {
            "hosts": "web", "gather_facts": False, "any_errors_fatal": True, "vars": self.variables, "tasks": tasks,
            "module_defaults": {f"lamp.cluster.{name}": given for name, given in self.defaults.items()}, **keywords,
        }  # fmt: skip

    def run(self, plays: list[dict[str, Any]], *arguments: str) -> tuple[int, str]:
        """Exit code and output of a playbook."""
        (self.folder / "playbook.json").write_text(json.dumps(plays))
        done = subprocess.run(
            [str(BIN / "ansible-playbook"), "-i", "hosts", "-c", "local", "playbook.json", *arguments],
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_NOCOLOR": "1",
                 "ANSIBLE_PIPELINING": "1"},
            capture_output=True, text=True, check=False, cwd=self.folder,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def journals(self, name: str) -> list[list[dict[str, Any]]]:
        """What a and b recorded of an application's deploys."""
        journals = [self.folder / host / "journal" / f"{name}.jsonl" for host in "ab"]
        texts = [journal.read_text() if journal.exists() else "" for journal in journals]
        return [[json.loads(line) for line in text.splitlines()] for text in texts]


def role(entry: str, **variables: Any) -> dict[str, Any]:
    """A task that includes the role."""
    return {
        "name": entry,
        "vars": variables,
        "ansible.builtin.include_role": {"name": "lamp.cluster.deploy", "tasks_from": entry},
    }


AWAY = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}


def lose(host: str) -> list[dict[str, Any]]:
    """Tasks after which the host is at an address where nobody answers."""
    return [
        {
            "name": "Lose it",
            "ansible.builtin.set_fact": AWAY,
            "delegate_to": host, "delegate_facts": True, "run_once": True,
        }
    ]  # fmt: skip
