# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bed's way out: it takes its own hosts, also when its files are lost, and nobody else's."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.modules import ROOT


@pytest.fixture()
def lampbed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The bed's modules, on a machine with these containers."""
    monkeypatch.syspath_prepend(str(ROOT / "molecule" / "bed"))
    bed, image = importlib.import_module("lampbed.bed"), importlib.import_module("lampbed.image")
    checkout = str(bed.CHECKOUT)
    present = [
        {"Names": [name], "Image": f"{image.REPOSITORY}:1", "Labels": {"lamp-bed.checkout": owner}}
        for name, owner in (
            ("gone-web1", checkout), ("gone-db12", checkout), ("gone-lb1", "/elsewhere"), ("gone-er-web1", checkout),
        )
    ]  # fmt: skip
    for module in (bed, image):
        monkeypatch.setattr(module, "containers", lambda: present)
    yield bed, image
    for name in [name for name in sys.modules if name.startswith("lampbed")]:
        del sys.modules[name]


def test_the_hosts_of_a_bed_are_known_without_its_files(lampbed: Any) -> None:
    bed, _image = lampbed
    assert not bed.Bed("gone").exists
    assert bed.Bed("gone")._mine() == ["gone-web1"]


def test_an_image_that_any_bed_uses_is_not_removed(lampbed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _bed, image = lampbed
    called: list[str] = []
    monkeypatch.setattr(image, "podman", lambda *arguments: called.extend(arguments))
    with pytest.raises(Exception, match="still used by gone-db12, gone-er-web1, gone-lb1, gone-web1"):
        image.remove()
    assert called == []
