# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What releases share: seeded once and whole, beside files of templates; what killed runs left there goes."""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._release import package, shared, stage
from ansible_collections.lamp.cluster.plugins.module_utils._release.layout import Layout
from ansible_collections.lamp.cluster.plugins.module_utils._release.paths import Owner

from tests.integration.release.support import built, on_host

LEFT = ".staging-0123456789abcdef"
SECRET = "PASSWORD=hunter2\n"


@pytest.fixture()
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "app.php").write_text("<?php return [];")
    (folder / "index.php").write_text("one")
    return folder


def rendered(*places: str) -> dict[str, Any]:
    """The option of the module that the controller fills in: a secret in each place."""
    content = base64.b64encode(SECRET.encode()).decode()
    made = [{"dest": dest, "mode": "0640", "owner": "root", "group": "root", "content": content} for dest in places]
    return {"rendered": json.dumps(made)}


def test_a_shared_folder_gets_what_the_release_has_and_what_templates_make(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "app"
    given: dict[str, Any] = {"shared_paths": ["config"], **built(source), **rendered("config/.env")}
    assert on_host(root, "staged", **given)["changed"]
    assert sorted(os.listdir(root / "shared" / "config")) == [".env", "app.php"]
    assert not on_host(root, "staged", **given)["changed"]


def test_a_shared_file_that_a_template_makes_is_no_folder(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "app"
    given: dict[str, Any] = {"shared_paths": [".env"], **built(source), **rendered(".env")}
    assert on_host(root, "staged", **given)["changed"]
    assert (root / "releases" / given["release"] / ".env").read_text() == SECRET
    assert not on_host(root, "staged", **given)["changed"]


def test_what_becomes_shared_takes_its_files_and_their_modes_along(source: Path, tmp_path: Path) -> None:
    root, given = tmp_path / "app", {**built(source), **rendered("config/.env")}
    on_host(root, "staged", **given)
    given.pop("rendered")
    assert on_host(root, "staged", shared_paths=["config"], **given)["changed"]
    config = root / "shared" / "config"
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in config.iterdir()}
    assert modes == {".env": "0o640", "app.php": "0o644"}


def test_the_first_release_that_has_a_shared_file_seeds_it(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "app"
    given: dict[str, Any] = {"shared_paths": ["settings.php"]}
    missing = on_host(root, "staged", **given, **built(source))
    assert missing.get("error_code") == "release_shared_missing", missing
    folders: dict[str, Any] = {
        "shared_paths": ["settings.php/", ".well-known", "uploads"],
        "writable_paths": [".well-known/acme"],
    }
    assert on_host(root, "staged", **folders, **built(source))["changed"]
    assert sorted(os.listdir(root / "shared")) == [".well-known", "settings.php", "uploads"]
    (source / "settings.php").write_text("<?php return 1;")
    second = built(source)
    assert on_host(root, "staged", **given, **second)["changed"]
    assert (root / "releases" / second["release"] / "settings.php").read_text() == "<?php return 1;"
    (source / "settings.php").write_text("<?php return 2;")
    assert on_host(root, "staged", **given, **built(source))["changed"]
    assert (root / "shared" / "settings.php").read_text() == "<?php return 1;"


def test_a_link_that_is_in_the_way_of_a_template_is_told_at_staging_and_not_at_the_switch(
    source: Path, tmp_path: Path
) -> None:
    root, given = tmp_path / "app", {**built(source), **rendered(".env")}
    on_host(root, "staged", shared_paths=[".env"], **given)
    on_host(root, "active", shared_paths=[".env"], release=given["release"], rendered=given["rendered"])
    for check in (True, False):
        refused = on_host(root, "staged", check=check, **given)
        assert refused.get("error_code") == "release_unsafe_path", refused


def test_no_folder_takes_the_place_of_a_shared_file_to_which_only_a_link_leads(source: Path, tmp_path: Path) -> None:
    (source / ".env").symlink_to(".env.dev")
    root, given = tmp_path / "app", {"shared_paths": [".env"], **built(source)}
    assert on_host(root, "staged", **given).get("error_code") == "release_shared_missing"
    (root / "shared").mkdir(exist_ok=True)
    (root / "shared" / ".env").write_text(SECRET)
    assert on_host(root, "staged", **given)["changed"]
    (root / "shared" / ".env").unlink()
    assert on_host(root, "staged", **given).get("error_code") == "release_shared_missing"


def test_what_is_shared_below_a_writable_folder_is_writable(source: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"shared_paths": ["var/log"], "writable_paths": ["var"], "writable_owner": "daemon"}
    assert on_host(tmp_path / "app", "staged", **{**options, **built(source)})["changed"]
    assert (tmp_path / "app" / "shared" / "var" / "log").stat().st_uid == 1
    assert (tmp_path / "app" / "shared" / "var").stat().st_uid == 0


def test_what_killed_runs_left_in_shared_folders_and_releases_goes(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "app"
    given: dict[str, Any] = {"shared_paths": ["var/uploads", ".env"], **built(source)}
    files = rendered(".env", "config/secret.php")
    assert on_host(root, "staged", **given, **files)["changed"]
    left = [root / "shared" / "var" / LEFT, root / "releases" / given["release"] / "config" / LEFT]
    left[0].mkdir()
    (left[0] / "half").write_text("of a seed")
    left[1].write_text(SECRET)
    kept = root / "shared" / "var" / ".staging-notes", root / "shared" / "var" / f"{LEFT[:-1]}0"
    for path in kept:  # somebody's own; what another host is at work on
        path.touch()
    for path in (*left, kept[0]):
        os.utime(path, (0, time.time() - 2 * 86400))
    (root / "shared" / "var" / "uploads").rmdir()
    (root / "releases" / given["release"] / "config" / "secret.php").unlink()
    assert on_host(root, "staged", **given, **files)["changed"]
    assert [path.exists() for path in (*left, *kept)] == [False, False, True, True]
    assert (root / "shared" / "var" / "uploads").is_dir()


def test_what_users_put_into_the_live_release_moves_when_it_becomes_shared(source: Path, tmp_path: Path) -> None:
    root, given = tmp_path / "app", {**built(source), **rendered("config/.env")}
    on_host(root, "staged", **given)
    assert on_host(root, "active", **given)["changed"]
    live = root / "releases" / given["release"]
    with open(live / "config" / "upload", "w") as upload:
        upload.write("half")
        upload.flush()
        os.link(live / "config" / "upload", live / "config" / "second name")
        os.mkfifo(live / "config" / "fifo")
        given.update(rendered("config/.env", "index.php"))
        shared_now = {**given, "shared_paths": ["config", "index.php"]}
        done = on_host(root, "staged", **shared_now)
        assert (done.get("changed"), done["to_render"]) == (True, ["index.php"]), done
        upload.write(" and half")
    assert sorted(os.listdir(root / "shared" / "config")) == [".env", "app.php", "fifo", "second name", "upload"]
    assert (live / "config" / "upload").read_text() == "half and half"
    assert (live / "index.php").read_text() == "one"  # what the live release reads changes with the switch
    assert (live / "index.php").is_symlink()
    assert not on_host(root, "staged", **shared_now)["changed"]
    assert on_host(root, "active", **shared_now)["changed"]
    assert (live / "index.php").read_text() == SECRET


@pytest.mark.parametrize("check", [True, False])
def test_nothing_that_users_put_into_the_live_release_gives_way_to_what_is_shared(
    source: Path, tmp_path: Path, check: bool
) -> None:
    root, given = tmp_path / "app", built(source)
    on_host(root, "staged", **given)
    on_host(root, "active", **given)
    live = root / "releases" / given["release"]
    (root / "shared" / "config").mkdir(parents=True)
    (root / "shared" / "config" / "upload").write_text("shared")
    refused = on_host(root, "staged", check=check, shared_paths=["config"], **given)
    assert (refused.get("error_code"), str(live / "config") in refused["msg"]) == ("release_shared_twice", True), (
        refused
    )
    assert (live / "config" / "app.php").read_text() == "<?php return [];"
    (live / "config" / "app.php").unlink()
    assert on_host(root, "staged", shared_paths=["config"], **given)["changed"]
    assert (live / "config" / "upload").read_text() == "shared"


@pytest.mark.parametrize("path", ["config", "index.php"])
def test_another_host_with_the_same_shared_folder_may_be_first(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """As with shared/ on NFS: each host stages by itself."""
    root, made = tmp_path / "app", built(source)
    place = root / "shared" / path
    if path == "index.php":
        place.mkdir(parents=True)
    layout = Layout(str(root))
    copy = shared.copy_tree

    def seeded_meanwhile(*given: Any) -> None:
        copy(*given)
        if path == "config":
            place.mkdir()
            (place / "app.php").write_text("of the other host")
        else:
            place.rmdir()
            place.write_text("of the other host")

    monkeypatch.setattr(shared, "copy_tree", seeded_meanwhile)
    Path(layout.records).mkdir(parents=True)
    with open(made["artifact"], "rb") as content:
        stage.Staging(layout, made["release"], shared.Furnishing(layout, [path], [], Owner(), Owner()), None).run(
            content, lambda folder: None
        )
    assert (place / "app.php" if place.is_dir() else place).read_text() == "of the other host"
    assert os.listdir(root / "shared") == [path]


def test_a_file_that_a_template_replaces_is_no_reason_to_send_all(source: Path, tmp_path: Path) -> None:
    (source / "default.php").write_text("<?php return [];")  # the same as config/app.php
    (source / "settings.php").write_text("<?php return [];")
    root, first = tmp_path / "app", built(source)
    assert on_host(root, "staged", **first, **rendered("settings.php"))["changed"]
    with open(first["artifact"], "rb") as content:
        known = package.contents(package.Reader(content).manifest)
    (source / "index.php").write_text("two")
    (source / "copy.php").write_text("<?php return [];")
    second = built(source)
    package.reduce(second["artifact"], str(tmp_path / "part.tar.gz"), known)
    second["artifact"] = str(tmp_path / "part.tar.gz")
    done = on_host(root, "staged", base=first["release"], **second, **rendered("settings.php"))
    assert (done["changed"], done.get("lacking")) == (True, None), done
    assert (root / "releases" / second["release"] / "settings.php").read_text() == SECRET
    assert (root / "releases" / second["release"] / "copy.php").read_text() == "<?php return [];"
