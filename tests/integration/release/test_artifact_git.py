# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases made of a version in Git: what is committed, and servers that do not answer."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact import git
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.artifact import Options, make

from tests.integration.release.sources import Repository, files, refusal
from tests.support import certificates

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"


def test_a_version_in_git_is_what_was_committed(repository: Repository, cache: str, tmp_path: Path) -> None:
    (repository.folder / "index.php").write_text("not committed")
    address = f"git+file://{repository.folder}"
    made = make(Options(address, cache))
    assert files(made["tree"]) == [".gitattributes", "bin/run", "index.php"]
    assert (Path(made["tree"]) / "index.php").read_text() == "two"
    assert made["commit"] == repository.git("rev-parse", "HEAD")
    same = tmp_path / "same"
    subprocess.run(["cp", "-r", made["tree"], str(same)], check=True)
    assert make(Options(str(same), cache))["release"] == made["release"]
    ways = ["v2", "main", made["commit"], made["commit"][:9]]
    assert {make(Options(str(repository.folder), cache, version))["release"] for version in ways} == {made["release"]}
    first = repository.git("rev-parse", "HEAD~1")
    assert make(Options(address, cache, first[:8]))["commit"] == first


@pytest.mark.parametrize("branch", ["fix/#12", "größe", "a,b(c)!%2F"])
def test_a_branch_and_a_folder_may_be_named_as_git_lets_them(tmp_path: Path, cache: str, branch: str) -> None:
    repository = Repository(tmp_path / "shop_feature%2Fcart ü")
    first = repository.commit({"index.php": "one"})
    repository.git("branch", branch)
    repository.commit({"index.php": "two"})
    assert make(Options(str(repository.folder), cache, branch))["commit"] == first


def test_a_branch_is_asked_for_each_time_and_a_commit_once(repository: Repository, cache: str) -> None:
    address = f"git+file://{repository.folder}"
    before = make(Options(address, cache, "main"))
    after = repository.commit({"index.php": "three"})
    assert make(Options(address, cache, "main"))["commit"] == after
    repository.folder.rename(repository.folder.with_name("gone"))
    assert make(Options(address, cache, before["commit"]))["release"] == before["release"]
    assert refusal(address, cache, version="main").code == "artifact_git_failed"


def test_what_git_cannot_give_whole_is_refused_by_name(repository: Repository, cache: str) -> None:
    source = str(repository.folder)
    for version in ("v3", "abcdef0", "--upload-pack=touch /tmp/x", "v1..v2"):
        error = refusal(source, cache, version=version)
        assert (error.code, version in error.message) == ("artifact_no_version", True)
    pointed = repository.commit({"logo.png": POINTER})
    error = refusal(source, cache, version=pointed)
    assert (error.code, "logo.png" in error.message) == ("artifact_lfs_pointer", True)
    assert make(Options(source, cache, pointed, exclude=["*.png"]))["files"] == 3
    repository.git("submodule", "--quiet", "add", source, "lib/other")
    error = refusal(source, cache, version=repository.commit({}))
    assert (error.code, "lib/other" in error.message) == ("artifact_submodule", True)


@pytest.mark.parametrize(
    "setting",
    ["core.autocrlf=true", "core.attributesFile={template}/info/attributes", "safe.bareRepository=explicit"],
)
def test_a_release_is_the_same_whatever_git_is_told_to_do_here(
    repository: Repository, cache: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, setting: str
) -> None:
    repository.commit({"lines.txt": "one\ntwo\n"})
    address = f"git+file://{repository.folder}"
    plain = make(Options(address, cache))["release"]
    template = tmp_path / "template"
    (template / "info").mkdir(parents=True)
    (template / "info" / "attributes").write_text("*.txt text eol=crlf\n")
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(template))
    name, _, value = setting.format(template=template).partition("=")
    for variable, text in (("COUNT", "1"), ("KEY_0", name), ("VALUE_0", value)):
        monkeypatch.setenv(f"GIT_CONFIG_{variable}", text)
    assert make(Options(address, f"{cache}-2"))["release"] == plain


def test_a_release_is_the_same_whatever_else_the_cache_has_of_its_repository(
    repository: Repository, cache: str
) -> None:
    stamped = repository.commit({".gitattributes": "version export-subst\n", "version": "$Format:%H %D$\n"})
    repository.git("tag", "v3")
    address = f"git+file://{repository.folder}"
    alone = make(Options(address, cache, "v3"))
    assert stamped in (Path(alone["tree"]) / "version").read_text()
    assert make(Options(address, f"{cache}-2", stamped[:9]))["release"] == alone["release"]


def test_a_broken_copy_of_a_repository_is_named_and_no_other_is_touched(repository: Repository) -> None:
    """The cache may lie in a repository of the user's own, which Git would take for it."""
    outer = repository.folder.parent
    repository.git("init", "-q", str(outer))
    cache, address = str(outer / "cache"), f"git+file://{repository.folder}"
    make(Options(address, cache))
    (copy,) = Path(cache).glob("git-*")
    (copy / "HEAD").write_text("")
    error = refusal(address, cache)
    assert (error.code, str(copy) in str(error)) == ("artifact_git_failed", True), str(error)


def test_a_git_server_that_falls_silent_is_given_up(
    tmp_path: Path, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "SILENCE_SECONDS", 1)
    monkeypatch.setenv("GIT_SSL_NO_VERIFY", "1")
    made = certificates.make(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made["cert"], made["key"])
    over = threading.Event()

    class Silent(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            over.wait(60)

    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        error = refusal(f"git+https://127.0.0.1:{server.server_port}/x.git", cache)
        over.set()
        server.shutdown()
    assert (error.code, "too slow" in error.message) == ("artifact_git_failed", True), error.message


def test_a_server_that_is_silent_over_ssh_is_given_up(cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "SILENCE_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and says nothing
        error = refusal(f"git+ssh://git@127.0.0.1:{server.getsockname()[1]}/x.git", cache)
    assert (error.code, "timed out" in error.message) == ("artifact_git_failed", True), error.message


def test_the_users_own_ssh_command_is_used(tmp_path: Path, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = tmp_path / "gitconfig"
    configuration.write_text("[core]\n  sshCommand = echo it was mine >&2; false\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(configuration))
    error = refusal("git+ssh://git@127.0.0.1:1/x.git", cache)
    assert (error.code, "it was mine" in error.message) == ("artifact_git_failed", True), error.message
