# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults: what can happen to a host, and its end."""

from __future__ import annotations

import json
import subprocess
import time

from . import network
from .bed import Bed
from .machine import BedError, podman, run

FILLING = ".bed-fill"
LARGEST_DISK_MIB = 4096


def _pid(bed: Bed, host: str) -> str:
    pid = podman("inspect", "--format", "{{.State.Pid}}", bed.container(host)).strip()
    if pid == "0":
        raise BedError(
            f"{host} is switched off; switch it on first: molecule/bed/bed power-on {host} --name {bed.name}"
        )
    return pid


def _cable(bed: Bed, host: str) -> str:
    """The machine's end of the host's network cable."""
    inside = json.loads(run("nsenter", "-t", _pid(bed, host), "-n", "ip", "-j", "link", "show", "eth0"))
    index = inside[0]["link_index"]
    for link in json.loads(run("ip", "-j", "link")):
        if link["ifindex"] == index:
            return str(link["ifname"])
    raise BedError(f"the network of {host} has no end on this machine")


def power_off(bed: Bed, host: str) -> None:
    """As if its plug were pulled: nothing is told to anybody, nothing is written."""
    if bed.status()[host] == "exited":
        return
    cut(bed, host)  # a killed process would still say goodbye on its connections
    podman("kill", "--signal", "KILL", bed.container(host))
    podman("wait", bed.container(host))


def power_on(bed: Bed, host: str) -> None:
    """Boot it; returns when systemd has started all services of the host."""
    podman("start", bed.container(host))
    network.keep_gateway_address(bed.name)
    bed.await_boot(host)


def pause(bed: Bed, host: str) -> None:
    """It hangs: connections stay open, nothing answers."""
    podman("pause", bed.container(host))


def unpause(bed: Bed, host: str) -> None:
    """It goes on as if nothing had been."""
    podman("unpause", bed.container(host))


def cut(bed: Bed, host: str, others: list[str] | None = None) -> None:
    """Pull its network cable; or, with ``others``, lose what it and those hosts send each other."""
    if not others:
        run("ip", "link", "set", _cable(bed, host), "down")
        return
    for here, there in _pairs(host, others):
        # A neighbour that does not exist: packets leave and arrive nowhere, as with a broken switch.
        _neighbour(bed, here, "replace", there, ["lladdr", "02:00:00:00:00:01", "nud", "permanent", "dev", "eth0"])


def mend(bed: Bed, host: str, others: list[str] | None = None) -> None:
    """Undo cut()."""
    if not others:
        run("ip", "link", "set", _cable(bed, host), "up")
        others = [other for other, state in bed.status().items() if other != host and state in ("running", "paused")]
    for here, there in _pairs(host, others):
        try:
            _neighbour(bed, here, "del", there, ["dev", "eth0"])
        except BedError:
            continue  # there was no cut between these two


def _pairs(host: str, others: list[str]) -> list[tuple[str, str]]:
    return [pair for other in others for pair in ((host, other), (other, host))]


def _neighbour(bed: Bed, here: str, action: str, there: str, words: list[str]) -> None:
    bed.container(there)  # names a host that does not exist
    address = bed.hosts[there]["address"]
    run("nsenter", "-t", _pid(bed, here), "-n", "ip", "neigh", action, address, *words)


def fill(bed: Bed, host: str, path: str) -> None:
    """Use up the last byte of the file system of ``path``, which must be a small one of its own."""
    script = (
        'set -e; set -- "$1" $(df -Pm "$1" | tail -n 1); [ "$3" -le "$0" ] || { echo "$3"; exit 9; }; '
        f'dd if=/dev/zero of="$1/{FILLING}" bs=64k 2>/dev/null || true; '
        f'dd if=/dev/zero of="$1/{FILLING}" bs=512 oflag=append conv=notrunc 2>/dev/null || true'
    )
    command = ["podman", "exec", bed.container(host), "sh", "-c", script, str(LARGEST_DISK_MIB), path]
    podman("version")  # sets podman's settings
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if result.returncode == 9:
        raise BedError(
            f"{path} on {host} is no small disk ({result.stdout.strip()} MiB): filling it would fill this machine."
            f" Give the bed a small one: molecule/bed/bed up --disk {bed.hosts[host]['group']}:{path}=64m"
        )
    if result.returncode != 0:
        raise BedError(f"cannot fill {path} on {host}: {result.stderr.strip()}")


def free(bed: Bed, host: str, path: str) -> None:
    """Undo fill()."""
    podman("exec", bed.container(host), "rm", "-f", f"{path}/{FILLING}")


def wait_off(bed: Bed, host: str, seconds: float = 30) -> None:
    """Return when the host is off, whoever switched it off."""
    deadline = time.monotonic() + seconds
    while bed.status()[host] == "running":
        if time.monotonic() > deadline:
            raise BedError(f"{host} still runs after {seconds} s")
        time.sleep(0.1)
