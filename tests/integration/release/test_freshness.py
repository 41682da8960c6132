# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the switch every worker runs the new release, and the web server is reloaded only where it would not."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release import probe
from ansible_collections.lamp.cluster.plugins.module_utils._release.work import Work

from tests.integration.release.support import built, on_host
from tests.integration.release.web import WORKERS, Fpm, ModPhp, Web

FORGETFUL = "php_admin_value realpath_cache_size 0\nphp_admin_value opcache.revalidate_path 1"
NEVER_LOOKS = "php_admin_value opcache.validate_timestamps 0"
INDEX = "<?php foreach (glob(__DIR__ . '/../src/*.php') as $file) { require $file; } echo '%s', ' ', release();"


def make_source(folder: Path, version: str, files: int = 1) -> Path:
    """A release that says twice which version it is: in its first script, and in one that it includes."""
    for name in ("public", "src"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "public" / "index.php").write_text(INDEX % version)
    (folder / "src" / "0.php").write_text(f"<?php function release() {{ return '{version}'; }}")
    for number in range(1, files):
        (folder / "src" / f"{number}.php").write_text("<?php")
    return folder


def versions(web: Web) -> set[str]:
    """What the site answers, asked often enough at once for each worker to be among those who answer."""
    with ThreadPoolExecutor(WORKERS * 2) as pool:
        return {text for _status, text in pool.map(lambda _: web.get("/index.php"), range(WORKERS * 10))}


class Switcher:
    """Stages and switches; each worker has seen the release that is left."""

    def __init__(self, web: Web, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.web = web
        self.folder = folder
        monkeypatch.setenv("PATH", web.path)

    def stage(self, version: str, files: int = 1) -> dict[str, Any]:
        given = built(make_source(self.folder / "source", version, files))
        assert on_host(self.web.root, "staged", document_root="public", **given)["changed"]
        return {"release": given["release"], "document_root": "public", "url": self.web.url, "services": ["web"]}

    def switch(self, version: str, files: int = 1) -> dict[str, Any]:
        given = self.stage(version, files)
        plan = on_host(self.web.root, "active", check=True, diff=True, **given)
        done = on_host(self.web.root, "active", diff=True, **given)
        assert done.get("diff") == plan["diff"], done
        return done


@pytest.mark.parametrize(
    ("server", "settings", "reloads"),
    [
        pytest.param(ModPhp, "", 1, id="mod_php as it comes"),
        pytest.param(ModPhp, NEVER_LOOKS, 1, id="mod_php that never looks at files again"),
        pytest.param(ModPhp, FORGETFUL, 0, id="mod_php that remembers no paths"),
        pytest.param(ModPhp, f"{FORGETFUL}\n{NEVER_LOOKS}", 0, id="mod_php that remembers no paths but contents"),
        pytest.param(Fpm, "$document_root", 1, id="php-fpm through the link"),
        pytest.param(Fpm, "$realpath_root", 0, id="php-fpm with the link resolved"),
    ],
)
def test_all_workers_run_the_new_release_at_once(
    server: Callable[[str], Web], settings: str, reloads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(settings) as web:
        switcher = Switcher(web, tmp_path, monkeypatch)
        assert switcher.switch("one")["reloaded"] == ["web"]  # nobody could be asked before
        for version in ("two", "three"):
            before = web.reloads
            assert len(versions(web)) == 1
            done = switcher.switch(version)
            assert versions(web) == {f"{version} {version}"}
            assert (len(done["reloaded"]), web.reloads - before) == (reloads, reloads)


def test_a_full_opcode_cache_is_emptied_by_a_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ModPhp(f"{FORGETFUL}\n") as web:
        web.configuration.with_name("php.ini").write_text("opcache.max_accelerated_files=200\n")
        web.kill()
        monkeypatch.setenv("PHP_INI_SCAN_DIR", f":{web.folder}")
        web.start()
        switcher = Switcher(web, tmp_path, monkeypatch)
        switcher.switch("one", files=100)
        versions(web)
        assert switcher.switch("two", files=100)["reloaded"] == []
        versions(web)
        assert switcher.switch("three", files=100)["reloaded"] == ["web"]
        assert versions(web) == {"three three"}


def test_code_that_is_loaded_in_advance_needs_a_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ModPhp(FORGETFUL) as web:
        (web.folder / "preload.php").write_text("<?php class Preloaded {}")
        web.configuration.with_name("php.ini").write_text(
            f"opcache.preload={web.folder}/preload.php\nopcache.preload_user=www-data\n"
        )
        web.kill()
        monkeypatch.setenv("PHP_INI_SCAN_DIR", f":{web.folder}")
        web.start()
        switcher = Switcher(web, tmp_path, monkeypatch)
        for version in ("one", "two"):
            assert switcher.switch(version)["reloaded"] == ["web"]
            assert versions(web) == {f"{version} {version}"}


def test_the_script_answers_this_host_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ModPhp(FORGETFUL) as web:
        Switcher(web, tmp_path, monkeypatch).switch("one")
        assert web.get("/lamp-release.php")[0] == 200
        assert web.get("/lamp-release.php", source="127.0.0.2") == (404, "")


def test_a_site_that_serves_something_else_is_no_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ModPhp(FORGETFUL) as web:
        switcher = Switcher(web, tmp_path, monkeypatch)
        given = switcher.stage("one")
        web.configuration.write_text(web.configuration.read_text().replace("app/current/public", "app"))
        web.kill()
        web.start()
        failed = on_host(web.root, "active", **given)
        assert failed["error_code"] == "release_not_proven"
        assert "status 404" in failed["msg"]


def test_what_was_not_proven_is_not_done_the_second_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PATIENCE_SECONDS", 0.1)
    answer = {"file": "elsewhere", "resolved": True, "remembers": False, "used": 0}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

    root, given = tmp_path / "app", built(make_source(tmp_path / "source", "one"))
    assert on_host(root, "staged", document_root="public", **given)["changed"]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        params: dict[str, Any] = {
            **dict.fromkeys(("artifact", "package", "rendered", "address", "bypass_token"), None),
            **dict.fromkeys(("owner", "group", "writable_owner", "writable_group"), "root"),
            "shared_paths": [], "writable_paths": [], "services": ["web"], "run": "", "restore": False,
            "path": str(root), "request_headers": {}, "state": "active", "release": given["release"], "force": False,
            "document_root": "public", "url": f"http://127.0.0.1:{server.server_port}",
        }  # fmt: skip
        monkeypatch.setattr(subprocess, "run", lambda *args, **_options: subprocess.CompletedProcess(args, 0, "", ""))
        for _time in range(2):
            with pytest.raises(LampError) as caught:
                Work(params, check_mode=False).run()
            assert caught.value.code == "release_not_proven"
        answer["file"] = str(root / "releases" / given["release"] / "public" / "lamp-release.php")
        assert Work(params, check_mode=False).run()["changed"] is False
        answer.update(resolved=False, remembers=True, started=int(time.time()) - 60)  # another service was reloaded
        with pytest.raises(LampError, match="has run since before the switch") as caught:
            Work(params, check_mode=False).run()
        assert caught.value.code == "release_not_proven"
        answer["started"] = int(time.time()) + 1
        assert Work(params, check_mode=False).run()["changed"] is False
        server.shutdown()
