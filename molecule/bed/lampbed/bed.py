# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bed: its hosts from nothing to booted, and away again."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import image, network
from .files import Files
from .machine import CHECKOUT, BedError, check_machine, containers, hybrid_cgroups, locked, podman, run

FIRST_ADDRESS = {"lb": 11, "web": 21, "db": 31}
DEFAULT_SUBNET = "10.89.77.0/24"


class Bed:
    """The cluster of that name. Nothing is made before up()."""

    def __init__(self, name: str = "lamp") -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,20}", name):
            raise BedError(f"'{name}' cannot name a bed: use lower-case letters, digits and dashes (at most 21)")
        self.name = name
        self.files = Files(name)

    # What it is

    @property
    def exists(self) -> bool:
        """Whether up() was called and down() was not."""
        return self.files.state.exists()

    @property
    def state(self) -> dict[str, Any]:
        """What up() made. :raises BedError: where there is no bed of this name."""
        if not self.exists:
            raise BedError(f"there is no bed named {self.name}; start it with: molecule/bed/bed up --name {self.name}")
        loaded: dict[str, Any] = json.loads(self.files.state.read_text())
        return loaded

    @property
    def hosts(self) -> dict[str, dict[str, str]]:
        """Group and address of each host by its name."""
        hosts: dict[str, dict[str, str]] = self.state["hosts"]
        return hosts

    def container(self, host: str) -> str:
        """The container's name. :raises BedError: for a host that the bed does not have."""
        if host not in self.hosts:
            raise BedError(f"the bed {self.name} has no host {host}; it has {', '.join(self.hosts)}")
        return f"{self.name}-{host}"

    def status(self) -> dict[str, str]:
        """What each host's container does: running, paused, exited; missing when somebody removed it."""
        known = {name: entry["State"] for entry in containers() for name in entry["Names"]}
        return {host: known.get(self.container(host), "missing") for host in self.hosts}

    # Up

    def up(
        self,
        web: int = 3,
        db: int = 3,
        subnet: str = DEFAULT_SUBNET,
        disks: dict[str, str] | None = None,
        release: str = image.DEFAULT_RELEASE,
    ) -> None:
        """Make the hosts, or start those that are off; returns when each has booted and is known to ssh.

        :param disks: gives hosts a small disk: ``{"web:/var/www/shop": "64m"}``.
        :param release: the Debian release of the hosts
        """
        check_machine()
        wanted = {
            "subnet": str(parse_subnet(subnet)),
            "hosts": addresses(parse_subnet(subnet), {"lb": 1, "web": web, "db": db}),
            "disks": disks or {},
            "release": release,
        }
        if self.exists:
            self._check_same(wanted)
        name = image.ensure(release)
        with locked("network"):
            if not self.exists:
                self._check_names_free(wanted["hosts"])
                network.check_free(parse_subnet(subnet))
                self.files.make()
                self.files.state.write_text(json.dumps({**wanted, "image": name}, indent=1))
            if self.name not in [entry["name"] for entry in network.podman_networks()]:
                network.create(self.name, parse_subnet(subnet))
        try:
            self._boot_all()
        except BaseException:
            if not any(state == "running" for state in self.status().values()):
                self.down()  # nothing of it works: leave nothing of it behind
            raise

    def _check_same(self, wanted: dict[str, Any]) -> None:
        """A bed that is up cannot change its layout."""
        present = self.state
        for key, value in wanted.items():
            if present.get(key, value) != value:
                raise BedError(
                    f"the bed {self.name} is already up with other {key}; take it down first:"
                    f" molecule/bed/bed down --name {self.name}"
                )

    def _check_names_free(self, hosts: dict[str, Any]) -> None:
        """Containers of that name may belong to another checkout's bed."""
        present = {name: entry for entry in containers() for name in entry["Names"]}
        for host in hosts:
            if f"{self.name}-{host}" in present:
                owner = (present[f"{self.name}-{host}"].get("Labels") or {}).get("lamp-bed.checkout", "somebody else")
                raise BedError(
                    f"the container {self.name}-{host} exists already and belongs to {owner}: choose another --name,"
                    f" or remove it there (podman rm -f {self.name}-{host})"
                )

    def _boot_all(self) -> None:
        status = self.status()
        for host, state in status.items():
            if state == "missing":
                self._create(host)
            elif state == "paused":
                podman("unpause", self.container(host))
            elif state != "running":
                podman("start", self.container(host))
        network.keep_gateway_address(self.name)
        with ThreadPoolExecutor(4) as pool:
            keys = list(pool.map(self.await_boot, self.hosts))
        self.files.known_hosts.write_text("".join(keys))
        self.files.write_inventory(self.hosts, self.variables())

    def _create(self, host: str) -> None:
        """Create and boot one host."""
        entry = self.hosts[host]
        arguments = ["--name", self.container(host), "--hostname", host, "--label", f"lamp-bed.checkout={CHECKOUT}"]
        arguments += ["--network", self.name, "--ip", entry["address"], "--dns", "none"]
        arguments += ["--mac-address", network.hardware_address(entry["address"])]
        arguments += [f"--add-host={other}:{there['address']}" for other, there in self.hosts.items() if other != host]
        arguments += ["--cap-add", "NET_ADMIN,NET_RAW", *systemd_arguments()]
        arguments += ["-v", f"{self.files.authorized_keys}:/etc/ssh/bed_authorized_keys:ro"]
        for place, size in self.state["disks"].items():
            group, path = place.split(":", 1)
            if group in (entry["group"], host):
                arguments += ["-v", f"{self._disk(host, path, size)}:{path}"]
        podman("run", "-d", *arguments, self.state["image"])

    def _disk(self, host: str, path: str, size: str) -> str:
        """A small file system of this machine's memory: it survives a power-off of the host and can be filled."""
        folder = self.files.disks / host / path.strip("/").replace("/", "-")
        if not os.path.ismount(folder):
            folder.mkdir(parents=True, exist_ok=True)
            run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", f"bed-{self.name}", str(folder))
        return str(folder)

    def await_boot(self, host: str) -> str:
        """Wait until systemd has started everything; the host's line for known_hosts."""
        # Asked before the message bus is there, systemctl fails instead of waiting.
        booted = "systemctl is-system-running --wait 2>/dev/null | grep -qE 'running|degraded'"
        script = f"until {booted}; do sleep 0.1; done; cat /etc/ssh/ssh_host_ed25519_key.pub"
        key = podman("exec", self.container(host), "sh", "-c", script, timeout=180).split()
        if len(key) < 2:
            raise BedError(f"{host} did not boot; see: podman exec {self.container(host)} systemctl --failed")
        return f"{self.hosts[host]['address']} {key[0]} {key[1]}\n"

    def variables(self) -> dict[str, Any]:
        """What the inventory tells all hosts about the bed."""
        by_group = {
            group: [h["address"] for h in self.hosts.values() if h["group"] == group] for group in FIRST_ADDRESS
        }
        return {
            "bed_name": self.name,
            "bed_subnet": self.state["subnet"],
            "bed_php": image.RELEASES[self.state.get("release", "bookworm")],
            "shop_url": f"http://{by_group['lb'][0]}",
            "shop_db_host": by_group["lb"][0],
            "shop_db_port": 3306,
            "shop_db_name": "shop",
            "shop_db_user": "shop",
        }

    # Down

    def down(self) -> None:
        """Remove hosts, network, mounts and files; leave the machine's firewall and forwarding as they were found."""
        mine = self._mine()
        if self.exists or mine:
            with locked("network"):
                self.files.close_masters()
                if mine:
                    podman("rm", "-f", "-t", "0", *mine)
                for mounted in self._mounts():
                    run("umount", mounted)
                if self.name in [entry["name"] for entry in network.podman_networks()]:
                    podman("network", "rm", "-f", self.name)
                network.restore()
        self.files.remove()

    def _mine(self) -> list[str]:
        """This bed's containers, by their names and labels: known even when the bed's files are lost."""
        host = re.compile(rf"{re.escape(self.name)}-({'|'.join(FIRST_ADDRESS)})\d")
        return [
            name
            for entry in containers()
            for name in entry["Names"]
            if host.fullmatch(name) and (entry.get("Labels") or {}).get("lamp-bed.checkout") == str(CHECKOUT)
        ]

    def _mounts(self) -> list[str]:
        with open("/proc/mounts") as mounts:
            return [fields[1] for fields in map(str.split, mounts) if fields[1].startswith(f"{self.files.disks}/")]


def systemd_arguments() -> list[str]:
    """How systemd boots as a container's first process here."""
    if not hybrid_cgroups():
        return ["--systemd=always"]
    # podman's own way leaves the v1 tree visible, and stopping a service then stalls now and then for 90 s.
    return [
        *("--systemd=false", "-e", "container=podman"),
        *("--tmpfs", "/run:rw,exec,mode=755", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:rw,exec,mode=1777"),  # noqa: S108
        *("-v", "/sys/fs/cgroup/unified:/sys/fs/cgroup:rw"),
    ]


def parse_subnet(text: str) -> ipaddress.IPv4Network:
    """:raises BedError: for what is no subnet with room for the hosts."""
    try:
        subnet = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise BedError(f"--subnet {text}: {error}") from None
    if subnet.prefixlen > 26:
        raise BedError(f"--subnet {text} is too small: hosts have the addresses .11 to .40, so give a /26 or larger")
    return subnet


def addresses(subnet: ipaddress.IPv4Network, counts: dict[str, int]) -> dict[str, dict[str, str]]:
    """Group and fixed address of each host."""
    hosts = {}
    for group, first in FIRST_ADDRESS.items():
        if not 1 <= counts[group] <= 9:
            raise BedError(f"--{group} {counts[group]}: a bed has 1 to 9 hosts of a kind")
        for number in range(counts[group]):
            hosts[f"{group}{number + 1}"] = {"group": group, "address": str(subnet[first + number])}
    return hosts
