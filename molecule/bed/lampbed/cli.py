# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bed's command line."""

from __future__ import annotations

import argparse
import os
import sys
import time

from . import faults, image
from .bed import DEFAULT_SUBNET, Bed
from .machine import BedError, check_machine

NAME = os.environ.get("LAMP_BED") or "lamp"
SUBNET = os.environ.get("LAMP_BED_SUBNET") or DEFAULT_SUBNET

HOST_FAULTS = {
    "power-off": (faults.power_off, "switch a host off at once, as if its plug were pulled"),
    "power-on": (faults.power_on, "boot it again"),
    "pause": (faults.pause, "make a host hang"),
    "unpause": (faults.unpause, "let it go on"),
}
CABLE_FAULTS = {
    "cut": (faults.cut, "pull a host's network cable"),
    "mend": (faults.mend, "plug it in again"),
}
DISK_FAULTS = {
    "fill": (faults.fill, "fill a small disk of a host (see up --disk)"),
    "free": (faults.free, "free it again"),
}


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="bed", description="A LAMP cluster of containers on this machine.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--name", default=NAME, help=f"which bed (default: {NAME}; LAMP_BED gives another default)")
        return sub

    up = command("up", "boot the hosts; their services are set up by prepare.yml")
    up.add_argument("--web", type=int, default=3, metavar="N", help="number of web hosts (default: 3)")
    up.add_argument("--db", type=int, default=3, metavar="N", help="number of database nodes (default: 3)")
    up.add_argument("--subnet", default=SUBNET, metavar="CIDR", help=f"default: {SUBNET} (LAMP_BED_SUBNET)")
    up.add_argument(
        "--disk",
        action="append",
        default=[],
        metavar="GROUP:PATH=SIZE",
        help="give hosts a small disk that can be filled, e.g. web:/var/www/shop=64m",
    )
    up.add_argument(
        "--release",
        choices=[*image.RELEASES],
        default=image.DEFAULT_RELEASE,
        help="which Debian (default: %(default)s)",
    )
    down = command("down", "remove the bed and every trace of it")
    down.add_argument("--image", action="store_true", help="remove the image as well")
    command("status", "say what each host does")
    command("inventory", "print the path of the bed's Ansible inventory")
    command("check", "say what keeps this machine from running a bed")
    for name, (_fault, text) in (HOST_FAULTS | CABLE_FAULTS | DISK_FAULTS).items():
        command(name, text).add_argument("host", metavar="HOST")
        sub = commands.choices[name]
        if name in CABLE_FAULTS:
            sub.add_argument("--from", dest="others", nargs="+", metavar="HOST", help="only between it and these hosts")
        if name in DISK_FAULTS:
            sub.add_argument("path", metavar="PATH")
    return top


def main() -> int:
    """Run one command; 1 and a sentence where it cannot be done."""
    arguments = parser().parse_args()
    try:
        execute(arguments, Bed(arguments.name))
    except BedError as error:
        print(f"bed: {error}", file=sys.stderr)
        return 1
    return 0


def execute(arguments: argparse.Namespace, bed: Bed) -> None:
    """Do what the command says."""
    name = arguments.command
    if name == "up":
        started = time.monotonic()
        disks = dict(parse_disk(text) for text in arguments.disk)
        bed.up(arguments.web, arguments.db, arguments.subnet, disks, arguments.release)
        print(f"bed: {len(bed.hosts)} hosts of {bed.name} up in {time.monotonic() - started:.1f} s", file=sys.stderr)
        print(bed.files.inventory)
    elif name == "down":
        bed.down()
        if arguments.image:
            image.remove()
    elif name == "check":
        check_machine()
        print("bed: this machine can run the test bed", file=sys.stderr)
    elif name == "inventory":
        print(bed.state and bed.files.inventory)
    elif name == "status":
        for host, state in bed.status().items():
            print(f"{host:8} {bed.hosts[host]['address']:15} {state}")
    elif name in HOST_FAULTS:
        HOST_FAULTS[name][0](bed, arguments.host)
    elif name in CABLE_FAULTS:
        CABLE_FAULTS[name][0](bed, arguments.host, arguments.others)
    else:
        DISK_FAULTS[name][0](bed, arguments.host, arguments.path)


def parse_disk(text: str) -> tuple[str, str]:
    """``web:/var/www/shop=64m`` as place and size."""
    place, _equals, size = text.partition("=")
    group, _colon, path = place.partition(":")
    if not (group and path.startswith("/") and size):
        raise BedError(f"--disk {text}: write GROUP:PATH=SIZE, for example web:/var/www/shop=64m")
    return place, size
