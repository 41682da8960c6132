# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release can be made of: a folder, a tarball from an address; with build commands."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release import package
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact import artifact
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact import cache as caches
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.artifact import Options, make

from tests.integration.release.sources import Repository, files, refusal
from tests.support.modules import run_ansible

SECRET = "hunter2"


@pytest.fixture()
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "public" / "uploads").mkdir(parents=True)
    (folder / "public" / "index.php").write_text("<?php echo 1;")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("not for the web")
    return folder


def test_the_same_content_is_the_same_release_wherever_it_lies(source: Path, tmp_path: Path, cache: str) -> None:
    first = make(Options(str(source), cache))
    moved = source.rename(tmp_path / "elsewhere")
    os.utime(moved / "public" / "index.php", (1, 1))
    (moved / ".git" / "config").write_text("changed")
    tarball = tmp_path / "shop.tar.gz"
    subprocess.run(["tar", "-czf", str(tarball), "--exclude=.git", "-C", str(moved), "."], check=True)
    assert (
        make(Options(str(moved), cache))["release"] == make(Options(str(tarball), cache))["release"] == first["release"]
    )
    (moved / "public" / "index.php").chmod(0o755)
    assert make(Options(str(moved), cache))["release"] != first["release"]


@pytest.mark.parametrize(
    ("spoil", "code", "named"),
    [
        (lambda folder: (folder / "out").symlink_to("/etc/passwd"), "artifact_unsafe_entry", "out"),
        (lambda folder: (folder / "out").symlink_to("../../x"), "artifact_unsafe_entry", "out"),
        (lambda folder: os.mkfifo(folder / "pipe"), "artifact_unsafe_entry", "pipe"),
        (
            lambda folder: (folder / ".lamp.yml").write_text("drop_session: true"),
            "artifact_bad_metadata",
            "drop_session",
        ),
        (lambda folder: (folder / ".lamp.yml").write_text("{1: a, b: c}"), "artifact_bad_metadata", "unknown is '1'"),
        (lambda folder: (folder / ".lamp.yml").write_text("[" * 20_000), "artifact_bad_metadata", ".lamp.yml"),
    ],
)
def test_what_no_release_may_hold_is_refused_by_name(
    source: Path, cache: str, spoil: Any, code: str, named: str
) -> None:
    spoil(source)
    error = refusal(str(source), cache)
    assert (error.code, named in error.message) == (code, True)


def test_a_folder_can_be_left_out_as_it_is_written_elsewhere(source: Path, cache: str) -> None:
    assert make(Options(str(source), cache, exclude=[".git/", "public/uploads/"]))["files"] == 1
    assert refusal(str(source), cache, exclude=[".git/", "public/"]).code == "artifact_empty"


@pytest.mark.parametrize("rule", ["/app/cache", "./app/cache", "app/cache/", "**/cache", "cache", "/app/*", "/app/**"])
def test_a_pattern_leaves_out_what_it_does_elsewhere(source: Path, cache: str, rule: str) -> None:
    (source / "app" / "cache").mkdir(parents=True)
    (source / "app" / "cache" / "made.php").write_text("made")
    assert make(Options(str(source), cache, exclude=[rule]))["files"] == 1
    assert make(Options(str(source), cache, exclude=["/cache"]))["files"] == 2
    assert make(Options(str(source), cache, exclude=["**/app"]))["files"] == 1


def test_the_history_of_a_source_is_no_part_of_it_whatever_else_is_left_out(source: Path, cache: str) -> None:
    (source / "vendor" / ".git").mkdir(parents=True)
    (source / "vendor" / ".git" / "config").write_text(SECRET)
    assert make(Options(str(source), cache, exclude=["vendor/tests"]))["files"] == 1


def test_a_tag_in_the_release_is_read_and_sources_are_checked(source: Path, tmp_path: Path, cache: str) -> None:
    (source / ".lamp.yml").write_text("drop_sessions: true\n")
    assert make(Options(str(source), cache))["drop_sessions"] is True
    assert refusal(str(tmp_path / "nowhere"), cache).code == "artifact_no_source"
    junk = tmp_path / "junk.tar"
    junk.write_text("no tarball")
    said = refusal(str(junk), cache).as_result()
    assert (said["error_code"], "gzip, bzip2 or xz" in said["msg"], "\n" in said["msg"]) == (
        "artifact_bad_tarball",
        True,
        False,
    )
    assert refusal(str(junk), cache, checksum="sha256:00").code == "artifact_wrong_checksum"


@pytest.mark.parametrize(
    ("name", "kind"), [("/etc/cron.d/evil", b"0"), ("../evil", b"0"), ("a/../../evil", b"0"), ("null", b"3")]
)
def test_a_tarball_cannot_write_outside_of_itself(tmp_path: Path, cache: str, name: str, kind: bytes) -> None:
    tarball = tmp_path / "evil.tar"
    with tarfile.open(tarball, "w") as tar:
        member = tarfile.TarInfo(name)
        member.type = kind
        tar.addfile(member)
    assert refusal(str(tarball), cache).code == "artifact_unsafe_entry"
    assert not (tmp_path / "evil").exists()


def test_a_tarball_cannot_write_through_its_own_link(tmp_path: Path, cache: str) -> None:
    tarball, outside = tmp_path / "evil.tar", tmp_path / "outside"
    outside.mkdir()
    with tarfile.open(tarball, "w") as tar:
        link = tarfile.TarInfo("way")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("way/evil"))
    assert refusal(str(tarball), cache).code
    assert list(outside.iterdir()) == []


def test_sources_that_are_none_and_passwords_in_addresses(cache: str, tmp_path: Path) -> None:
    assert refusal(str(tmp_path), cache, version="v1").code == "artifact_git_failed"
    assert refusal("https://example.com/x.tar", cache, version="v1").code == "artifact_no_source"
    for login in (f"git+https://me:{SECRET}", f"https://me:{SECRET}", f"git+https://{SECRET}"):  # the last is a token
        error = refusal(f"{login}@example.com/x", cache, checksum="00")
        assert (error.code, SECRET in str(error), "example.com" in str(error)) == (
            "artifact_password_in_url", False, True,
        )  # fmt: skip


def test_a_cache_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    given = {"source": str(tmp_path), "cache_dir": str(tmp_path / "file" / "cache")}
    failed = run_ansible("localhost", "localhost,", "artifact", given, "-c", "local")
    assert (failed["error_code"], "file/cache" in failed["msg"]) == ("artifact_io", True)


def test_links_that_lead_in_a_circle_are_no_end_of_the_module(tmp_path: Path, cache: str) -> None:
    path = tmp_path / "circle.tar"
    with tarfile.open(path, "w") as tar:
        for name, kind, target in (
            ("a", tarfile.SYMTYPE, "b"),
            ("b", tarfile.SYMTYPE, "a"),
            ("c", tarfile.LNKTYPE, "a"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    assert refusal(str(path), cache).code == "artifact_bad_tarball"


@pytest.fixture()
def tarball(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    (tmp_path / "index.php").write_text("one")
    with tarfile.open(folder / "shop.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "index.php", "index.php")
    return folder / "shop.tar.gz"


@pytest.fixture()
def served(tarball: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of the tarball, and what was asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tarball.parent))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/shop.tar.gz", asked
        server.shutdown()


def test_a_tarball_is_fetched_once_and_only_with_its_checksum(
    served: tuple[str, list[str]], tarball: Path, cache: str
) -> None:
    url, asked = served
    checksum = f"sha256:{hashlib.sha256(tarball.read_bytes()).hexdigest()}"
    assert refusal(url, cache).code == "artifact_no_checksum"
    assert asked == []
    assert refusal(url, cache, checksum="0" * 64).code == "artifact_wrong_checksum"
    assert refusal(f"{url}x", cache, checksum=checksum).code == "artifact_not_fetched"
    asked.clear()
    made = [make(Options(url, cache, checksum=checksum)) for _ in range(2)]
    assert made[0] == made[1]
    assert asked == ["/shop.tar.gz"]
    assert made[0]["release"] == make(Options(str(tarball), cache))["release"]


def test_build_commands_run_once_in_a_copy_of_their_own(repository: Repository, cache: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    build = [f"ls -a >> {log}", "mkdir node_modules; touch node_modules/x; tr a-z A-Z < index.php > index.html"]
    options = Options(str(repository.folder), cache, exclude=["node_modules", "index.php"], build=build)
    made = make(options)
    assert files(made["tree"]) == [
        ".gitattributes",
        "bin/run",
        "index.html",
        "index.php",
        "node_modules/x",
        "tests/t.php",
    ]
    with tarfile.open(made["archive"]) as tar:
        names = sorted(tar.getnames())
    assert names == [".gitattributes", ".lamp-manifest.json", "bin/run", "index.html", "tests/t.php"]
    assert ".git\n" not in log.read_text()
    assert not (repository.folder / "index.html").exists()
    assert make(options) == made
    assert log.read_text().count("index.php") == 1
    (repository.folder / "index.php").write_text("three")
    assert make(options)["release"] != made["release"]
    assert log.read_text().count("index.php") == 2


def test_a_link_of_the_developers_own_is_in_the_way_of_no_build_that_leaves_it_out(source: Path, cache: str) -> None:
    (source / "public" / "storage").symlink_to(source / "storage")  # as `artisan storage:link` makes it
    assert make(Options(str(source), cache, exclude=["public/storage"], build=["touch built"]))["files"] == 2
    assert refusal(str(source), cache, build=["touch built"]).code == "artifact_unsafe_entry"


def test_a_build_that_fails_shows_what_it_said_and_leaves_nothing(repository: Repository, cache: str) -> None:
    build = ["touch made", "echo compiling; echo 'line 3: no such class' >&2; false; echo not reached"]
    error = refusal(str(repository.folder), cache, build=build)
    assert error.code == "artifact_build_failed"
    assert "compiling\nline 3: no such class" in error.message
    assert "\nnot reached" not in error.message
    assert os.listdir(cache) == []


def test_the_cache_forgets_what_was_not_used_for_a_month(repository: Repository, cache: str) -> None:
    repository_folder = str(repository.folder)
    old = make(Options(repository_folder, cache, "v2"))
    leftover = Path(cache) / ".making-dead"
    leftover.mkdir()
    for path in Path(cache).iterdir():
        os.utime(path, (0, time.time() - 31 * 86400))
    new = make(Options(repository_folder, cache, repository.commit({"index.php": "three"})))
    assert not leftover.exists()
    assert not Path(old["archive"]).exists()
    assert Path(new["archive"]).exists()
    assert make(Options(repository_folder, cache, "v2")) == old


@pytest.mark.parametrize("text", ["<?php echo 2;", "<?php", None], ids=["changed", "cut", "gone"])
@pytest.mark.parametrize("where", ["packed", "built"])
def test_a_source_that_changes_while_it_is_read_is_kept_nowhere(
    source: Path, cache: str, monkeypatch: pytest.MonkeyPatch, where: str, text: str | None
) -> None:
    page = source / "public" / "index.php"

    def changed_before(work: Any) -> Any:
        def do(*given: Any) -> Any:
            page.unlink()
            if text is not None:
                page.write_text(text)
            return work(*given)

        return do

    place, name = (package, "write") if where == "packed" else (artifact, "built")
    monkeypatch.setattr(place, name, changed_before(getattr(place, name)))
    options = Options(str(source), cache, build=["true"] if where == "built" else [])
    with pytest.raises((LampError, FileNotFoundError)) as caught:
        make(options)
    assert text is None or (caught.type, "index.php changed while" in str(caught.value)) == (LampError, True)
    assert os.listdir(cache) == []


def test_what_is_cached_is_on_the_disk_before_it_has_its_name(
    repository: Repository, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[list[str]] = []
    monkeypatch.setattr(caches, "sync_filesystem", lambda _folder: synced.append(os.listdir(cache)))
    made = make(Options(str(repository.folder), cache, "v2"))
    assert len(synced) == 2  # the tree, the package
    assert Path(made["tree"]).name not in synced[0]
    assert Path(made["archive"]).name not in synced[1]


def test_the_module_passes_all_its_options_on(repository: Repository, cache: str) -> None:
    given = {"source": f"git+file://{repository.folder}", "version": "v2", "cache_dir": cache, "build": ["touch built"]}
    made = run_ansible("localhost", "localhost,", "artifact", {**given, "exclude": ["bin"]}, "-c", "local", "--check")
    assert files(made["tree"]) == [".gitattributes", "bin/run", "built", "index.php"]
    assert (made["files"], made["commit"]) == (3, repository.git("rev-parse", "HEAD"))
