# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host cannot do, or cannot know, is told before anything is staged, switched or removed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release import trust
from ansible_collections.lamp.cluster.plugins.module_utils._release.layout import Layout

from tests.integration.release.support import built, on_host, staged_and_live


def test_what_is_mounted_in_an_old_release_is_not_emptied(source: Path, tmp_path: Path) -> None:
    root, uploads = tmp_path / "app", tmp_path / "up loads"
    uploads.mkdir()
    (uploads / "photo").write_text("a user's")
    old = staged_and_live(source, root, 3)[0]
    place = root / "releases" / old / "public" / "up loads"
    place.mkdir()
    subprocess.run(["mount", "--bind", str(uploads), str(place)], check=True)
    try:
        for state, options in (("absent", {"release": old}), ("pruned", {"keep": 1})):
            failed = on_host(root, state, **options)
            assert (failed.get("error_code"), str(place) in failed["msg"]) == ("release_mounted", True), failed
        assert (place / "photo").read_text() == "a user's"
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
    assert on_host(root, "absent", release=old)["removed"] == [old]
    assert (uploads / "photo").exists()


def refused(_uid: int) -> None:
    raise PermissionError("not here")


def end(_uid: int) -> None:
    os._exit(1)


@pytest.mark.parametrize("ending", [refused, end])
def test_what_the_web_server_may_write_to_is_known_or_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: object
) -> None:
    monkeypatch.setattr(os, "setuid", ending)
    with pytest.raises(LampError) as raised:
        trust.check_root(Layout(str(tmp_path)), "www-data")
    assert raised.value.code == "release_root_unknown"


def test_a_release_without_what_the_site_serves_is_not_staged(source: Path, tmp_path: Path) -> None:
    root, given = tmp_path / "app", built(source)
    refused = on_host(root, "staged", document_root="web", **given)
    assert refused.get("error_code") == "release_no_document_root", refused
    assert on_host(root, "staged", document_root=".", **given)["changed"]
    refused = on_host(root, "staged", check=True, document_root="web", **given)
    assert refused.get("error_code") == "release_no_document_root", refused
    assert not list(root.glob("releases/*/web"))


def test_a_service_that_is_not_there_is_told_at_staging(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text("#!/bin/sh\necho loaded; echo; echo not-found\n")  # as it tells of two
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{systemctl.parent}:{os.environ['PATH']}")
    failed = on_host(tmp_path / "app", "staged", services=["php8.2-fpm", "apache2"], **built(source))
    assert (failed.get("error_code"), "apache2, which" in failed["msg"]) == ("release_no_service", True), failed
    assert on_host(tmp_path / "app", "staged", services=["php8.2-fpm"], **built(source))["changed"]
