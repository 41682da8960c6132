# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tarballs that are damaged, hostile or cut off, and addresses that hold a token."""

from __future__ import annotations

import hashlib
import io
import os
import socketserver
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact import tarball
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.artifact import Options, make

from tests.integration.release.sources import refusal
from tests.support.modules import run_ansible
from tests.support.variables import evaluated

SECRET = "hunter2"


def member(name: str, **fields: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def packed(path: Path, *members: tarfile.TarInfo) -> Path:
    mode: Any = f"w:{path.suffix[1:].replace('tar', '')}"
    with tarfile.open(path, mode) as tar:
        for one in members:
            tar.addfile(one, io.BytesIO(os.urandom(one.size)))
    return path


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_a_byte_that_is_not_as_it_was_packed_is_noticed(tmp_path: Path, cache: str, suffix: str) -> None:
    path = packed(tmp_path / f"shop.tar.{suffix}", member("index.php", size=100_000))
    content = bytearray(path.read_bytes())
    content[50_000] ^= 1
    path.write_bytes(content)
    assert refusal(str(path), cache).code == "artifact_bad_tarball"
    assert os.listdir(cache) == []


@pytest.mark.parametrize(
    "hostile",
    [
        member("x", pax_headers={"GNU.sparse.map": "a,b", "GNU.sparse.major": "0", "GNU.sparse.minor": "1"}),
        member("x", type=tarfile.SYMTYPE, linkname="a", pax_headers={"linkpath": "a\0b"}),
        member("x", type=tarfile.LNKTYPE, linkname="../../x"),
        member("x", type=tarfile.LNKTYPE, linkname="gone"),
    ],
    ids=["sparse", "link to no name", "second name outside", "second name of nothing"],
)
def test_a_tarball_that_makes_no_sense_is_no_end_of_the_module(
    tmp_path: Path, cache: str, hostile: tarfile.TarInfo
) -> None:
    (tmp_path / "x").write_text("outside")
    assert refusal(str(packed(tmp_path / "evil.tar", hostile)), cache).code in (
        "artifact_bad_tarball",
        "artifact_unsafe_entry",
    )
    assert os.listdir(cache) == []


def test_folders_without_end_are_refused_and_not_left_in_the_cache(tmp_path: Path, cache: str) -> None:
    deep = [member("a/" * depth, type=tarfile.DIRTYPE) for depth in range(1, 1200)]
    assert refusal(str(packed(tmp_path / "deep.tar", *deep)), cache).code == "artifact_unsafe_entry"
    assert os.listdir(cache) == []


def test_a_second_name_of_a_file_is_a_file_of_its_own(tmp_path: Path, cache: str) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "a").write_text("one")
    (folder / "a").chmod(0o755)
    os.link(folder / "a", folder / "b")
    path = tmp_path / "shop.tar.gz"
    subprocess.run(["tar", "-czf", str(path), "-C", str(folder), "."], check=True)
    made = make(Options(str(path), cache))
    assert made["release"] == make(Options(str(folder), cache))["release"]
    assert [os.stat(f"{made['tree']}/{name}").st_nlink for name in "ab"] == [1, 1]


def test_a_full_disk_of_the_controller_is_told_as_that(tmp_path: Path) -> None:
    path, small = packed(tmp_path / "bomb.tar.gz", member("big", size=2_000_000)), tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)], check=True)
    try:
        given = {"source": str(path), "cache_dir": str(small / "cache")}
        failed = run_ansible("localhost", "localhost,", "artifact", given, "-c", "local")
        assert (failed["error_code"], "No space left" in failed["msg"]) == ("artifact_io", True), failed
        assert os.listdir(small / "cache") == []
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_tarball_that_is_replaced_while_it_is_read_is_not_kept(
    tmp_path: Path, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(tmp_path / "shop.tar", member("index.php"))
    unpack = tarball.extract

    def replaced(tar: tarfile.TarFile, folder: str) -> None:
        unpack(tar, folder)
        packed(path, member("index.php"), member("half-written"))

    monkeypatch.setattr(tarball, "extract", replaced)
    assert refusal(str(path), cache).code == "artifact_source_changed"
    assert os.listdir(cache) == []


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The address of a server that says nothing but ``answer``, then hangs up."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/shop.tar.gz"
        server.shutdown()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nnot as much as it says",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nnot as much as it says",
        b"220 smtp.example.com ready\r\n",
    ],
    ids=["in chunks", "by its length", "no HTTP"],
)
def test_a_transfer_that_is_cut_off_is_not_taken_for_a_wrong_tarball(cache: str, answer: bytes) -> None:
    with answering(answer) as url:
        assert refusal(url, cache, checksum="0" * 64).code == "artifact_not_fetched"


def test_a_tarball_comes_as_it_lies_there_whatever_the_server_calls_it(tmp_path: Path, cache: str) -> None:
    content = packed(tmp_path / "shop.tar.gz", member("index.php", size=10)).read_bytes()
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(content)}\r\n\r\n"
    with answering(head.encode() + content) as url:
        assert make(Options(url, cache, checksum=hashlib.sha256(content).hexdigest()))["files"] == 1


def test_a_login_goes_to_the_server_that_it_is_for_alone(
    tmp_path: Path, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = packed(tmp_path / "shop.tar", member("index.php", size=10)).read_bytes()
    asked: list[tuple[str, str, bool]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host, port = self.headers["Host"].split(":")
            asked.append((host, self.path, "Authorization" in self.headers))
            onward = {"/a": f"http://127.0.0.1:{port}/b", "/b": f"http://localhost:{port}/c"}.get(self.path)
            self.send_response(302 if onward else 200)
            self.send_header("Location", onward or "")
            self.end_headers()
            self.wfile.write(b"" if onward else content)

        def log_message(self, *_arguments: Any) -> None:
            """Nothing."""

    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login shop password {SECRET}\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/a"
        make(Options(url, cache, checksum=hashlib.sha256(content).hexdigest()))
        server.shutdown()
    assert asked == [("127.0.0.1", "/a", True), ("127.0.0.1", "/b", True), ("localhost", "/c", False)]


def test_what_is_encrypted_is_not_sent_on_without() -> None:
    assert tarball.redirected("https://x@a/1", "https://a/2") == "https://x@a/2"
    assert tarball.redirected("https://x@a/1", "https://b/2") == "https://b/2"
    assert tarball.redirected("http://a/1", "https://a/2") == "https://a/2"
    for target in (f"http://a/2?token={SECRET}", "ftp://a/2"):
        with pytest.raises(OSError, match=r"it sends to .*a/2, which is not encrypted"):
            tarball.redirected("https://a/1", target)


@pytest.mark.parametrize("checksum", ["", "0" * 64], ids=["no checksum", "a wrong one"])
@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 404 Not Found\r\n\r\n"])
def test_a_token_in_an_address_is_in_no_message(cache: str, answer: bytes, checksum: str) -> None:
    with answering(answer) as url:
        source = f"{url.replace('//', f'//{SECRET}@')}?private_token={SECRET}"
        error = refusal(source, cache, checksum=checksum)
    assert (SECRET in str(error), "shop.tar.gz" in str(error)) == (False, True)


def test_a_token_in_an_address_is_not_recorded() -> None:
    source = f"https://{SECRET}@example.com/shop.tar.gz?private_token={SECRET}"
    recorded = evaluated("deploy", "deploy__entry.source", {"deploy_source": source})
    assert recorded == "https://example.com/shop.tar.gz"
