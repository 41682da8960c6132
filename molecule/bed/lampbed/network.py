# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of a bed, and the machine's firewall and forwarding: left as they were found."""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
from pathlib import Path
from typing import Any

from .machine import CACHE, BedError, containers, podman, run

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
BASELINE = CACHE / "machine.json"


def subnets_in_use() -> dict[str, str]:
    """Every network that the machine routes to or that podman has, and who has it."""
    used = {}
    for route in json.loads(run("ip", "-j", "-4", "route", "show", "table", "all")):
        destination = route.get("dst", "default")
        if destination != "default" and route.get("type", "unicast") == "unicast":
            used[destination] = f"a route by {route.get('dev', 'this machine')}"
    for network in podman_networks():
        for subnet in network.get("subnets") or []:
            # A network that podman merely knows by default has no interface until something uses it.
            used[subnet["subnet"]] = f"podman's network {network['name']}"
    return used


def podman_networks() -> list[dict[str, Any]]:
    """The networks podman knows."""
    listed: list[dict[str, Any]] = json.loads(podman("network", "ls", "--format", "json") or "[]") or []
    return listed


def check_free(subnet: ipaddress.IPv4Network) -> None:
    """:raises BedError: naming who uses the subnet already."""
    for taken, owner in subnets_in_use().items():
        if subnet.overlaps(ipaddress.ip_network(taken, strict=False)):
            raise BedError(
                f"the subnet {subnet} is taken on this machine: {owner} uses {taken}. Choose a free one, for example"
                f" --subnet {free_subnet()}"
            )


def free_subnet() -> str:
    """A subnet that nothing on the machine uses."""
    taken = [ipaddress.ip_network(used, strict=False) for used in subnets_in_use()]
    for third in range(100, 250):
        candidate = ipaddress.ip_network(f"10.89.{third}.0/24")
        if not any(candidate.overlaps(other) for other in taken):
            return str(candidate)
    return "172.31.77.0/24"


def create(name: str, subnet: ipaddress.IPv4Network) -> None:
    """An internal network: hosts reach each other and this machine, nothing else."""
    remember()
    gateway = str(subnet[1])  # given, or the machine itself gets no address in the network
    options = ["--internal", "--disable-dns", "--label", "lamp-bed", "--subnet", str(subnet), "--gateway", gateway]
    podman("network", "create", *options, name)


def firewall() -> dict[str, str]:
    """The rules of every table, without counters and dates; empty where the machine has no iptables."""
    if not shutil.which("iptables-save"):
        return {}
    saved = re.sub(r"(?m)^#.*\n|\[\d+:\d+\]", "", run("iptables-save"))
    return {part.split("\n", 1)[0]: part for part in saved.split("*")[1:]}


def remember() -> None:
    """Note forwarding and our backend's rules as they are before the first bed."""
    if not BASELINE.exists() and not containers():
        chains = sorted(set(re.findall(r"NETAVARK[\w-]*", "".join(firewall().values()))))
        BASELINE.write_text(json.dumps({"ip_forward": FORWARDING.read_text().strip(), "chains": chains}))


def restore() -> None:
    """Put back what remember() noted, once the last container is gone."""
    if not BASELINE.exists() or containers():
        return
    before = json.loads(BASELINE.read_text())
    if not before["chains"]:
        remove_chains()
    if FORWARDING.read_text().strip() != before["ip_forward"]:
        FORWARDING.write_text(before["ip_forward"])
    BASELINE.unlink()


def remove_chains() -> None:
    """Remove the chains that netavark leaves behind, and the rules that lead into them."""
    for table, text in firewall().items():
        chains = re.findall(r"(?m)^:(NETAVARK[\w-]*)", text)
        for rule in re.findall(r"(?m)^-A (?!NETAVARK)(.*-j NETAVARK.*)$", text):
            run("iptables", "-t", table, "-D", *rule.split())
        for chain in chains:
            run("iptables", "-t", table, "-F", chain)
        for chain in chains:
            run("iptables", "-t", table, "-X", chain)


def hardware_address(address: str) -> str:
    """The network card of the host with that address: the same after every power-off, as a machine's own is.

    With a new one at each boot, neighbours would go on sending to the old one for as long as they remember it, a
    minute and more.
    """
    return ":".join(["02", "4c", *(f"{byte:02x}" for byte in ipaddress.IPv4Address(address).packed)])


def keep_gateway_address(name: str) -> None:
    """Pin the bridge's own hardware address, which would change with the hosts that come and go, to the same effect."""
    bridge = next(entry for entry in podman_networks() if entry["name"] == name)
    gateway = hardware_address(bridge["subnets"][0]["gateway"])
    run("ip", "link", "set", bridge["network_interface"], "address", gateway)
