# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of CouchDB's protocol: PouchDB's, from npm, with its databases in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests

from tests.support import npm
from tests.support.servers.base import Server


class CouchDb(Server):
    """``with CouchDb() as server: server.request("GET", "/_all_dbs")``; everybody is an administrator, or ``admin``."""

    name = "couchdb"

    def __init__(self, admin: tuple[str, str] | None = None) -> None:
        """``admin`` is a name and a password. With one, the server ends when others ask it to make a database."""
        super().__init__()
        self.admin = admin

    def prepare(self) -> None:
        # Without its optional packages, which would be compiled, it stores in memory only.
        self.modules: Path = npm.installed("couchdb", {"pouchdb-server": "4.2.0"}, "--omit=optional")
        # Its option --log-file leaves a log.txt in the current folder all the same.
        settings = {"log": {"file": str(self.folder / "pouchdb.log"), "level": "error"}}
        if self.admin:
            settings["admins"] = dict([self.admin])
        (self.folder / "config.json").write_text(json.dumps(settings))

    def command(self) -> list[str]:
        return [
            str(self.modules / ".bin" / "pouchdb-server"), "--in-memory", "-n", "--no-color",
            "--host", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder),
            "--config", str(self.folder / "config.json"),
        ]  # fmt: skip

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of the answer, whatever its status."""
        return requests.request(method, self.url + path, json=body, auth=self.admin, timeout=30).json()

    def drop(self, database: str) -> None:
        """Remove a database once its views are up to date: PouchDB's server ends when it is updating one meanwhile.

        The session handler has views updated after its answer (``stale=update_after``), so that it may be.
        """
        designs = '_all_docs?include_docs=true&startkey="_design/"&endkey="_design0"'
        for row in self.request("GET", f"/{database}/{designs}").get("rows", []):
            for view in row["doc"].get("views", {}):
                self.request("GET", f"/{database}/{row['id']}/_view/{view}?limit=0")
        self.request("DELETE", f"/{database}")

    def ready(self) -> bool:
        try:
            return "version" in self.request("GET", "/")
        except (requests.ConnectionError, ValueError):
            return False
