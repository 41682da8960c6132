# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in a server of CouchDB's protocol: one database per session name, a document per session."""

from __future__ import annotations

import json
import typing as t
import urllib.parse

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import Simple, Tally
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.couchdb_client import Client, Refused
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.selection import Selection

PAGE = 200  # documents that are read in one step
MISSING, DENIED, EXISTS = 404, (401, 403), 412
STATE = "lamp_purge"  # the document that holds what must outlive the database
MILLISECONDS = 10**11  # a createdAt above that is not in seconds


class CouchDb(Simple):
    """The sessions in the database ``login_db`` of the server at ``url``."""

    ABLE = frozenset({"keep_ids", "older_than"})

    def __init__(self, params: dict[str, t.Any]) -> None:
        self.client = Client(params)
        self.selection = Selection(params, self.ABLE)
        self.database = params["login_db"]
        self.path = "/" + urllib.parse.quote(self.database, safe="")
        self.side = self.path + "-lamp-purge"
        self.dedicated = params["dedicated"] and self.selection.everything
        self.name = f"couchdb {self.database}"

    def begin(self, check: bool) -> dict[str, t.Any]:
        """Finish what an earlier purge began, if it was killed between dropping the database and making it anew."""
        saved = self._ask("GET", f"{self.side}/{STATE}", missing=True)
        if saved and not check:
            self._restore(saved)
        return {}

    def count(self) -> Tally:
        """Documents that are sessions; all but design documents in a dedicated database."""
        if self.dedicated:
            number = int(self._ask("GET", self.path)["doc_count"]) - len(self._design_names())
            return Tally(number, number)
        return self._walk(remove=False)

    def purge(self) -> Tally:
        """Drop the database and make it anew, or delete the documents that one walk finds."""
        if not self.dedicated:
            return self._walk(remove=True)
        found = self.count()
        if found.selected:
            self._make_anew()
        return found

    # -- document by document

    def _walk(self, remove: bool) -> Tally:
        total = selected = ignored = 0
        start: str | None = None
        while True:
            query = {"include_docs": "true", "limit": str(PAGE + 1)}
            if start is not None:
                query["startkey"] = json.dumps(start)
            rows = self._ask("GET", f"{self.path}/_all_docs?{urllib.parse.urlencode(query)}")["rows"]
            doomed = []
            for row in rows[:PAGE]:
                document = row["doc"]
                if row["id"].startswith("_design/"):
                    continue
                if not {"data", "createdAt"} <= set(document):
                    ignored += 1
                    continue
                total += 1
                if self._is_selected(document):
                    selected += 1
                    doomed.append({"_id": row["id"], "_rev": document["_rev"], "_deleted": True})
            if remove and doomed:
                self._delete(doomed)
            if len(rows) <= PAGE:
                return Tally(total, selected, ignored=ignored)
            start = rows[PAGE]["id"]

    def _is_selected(self, document: dict[str, t.Any]) -> bool:
        if document["_id"] in self.selection.keep_ids:
            return False
        if self.selection.older_than is None:
            return True
        created = document["createdAt"]
        if not isinstance(created, (int, float)):
            raise self._failed(
                f"createdAt of the document {document['_id'][:8]}… is no number, so older_than cannot be told"
            )
        return created / (1000 if created > MILLISECONDS else 1) < self.selection.before

    def _delete(self, documents: list[dict[str, t.Any]]) -> None:
        """A document that was written meanwhile is a conflict: the next pass finds it again."""
        for row in self._ask("POST", f"{self.path}/_bulk_docs", {"docs": documents}):
            if row.get("error") and row["error"] != "conflict":
                raise self._failed(f"{row['error']}, {row.get('reason', '')}")

    # -- all at once

    def _make_anew(self) -> None:
        """Drop the database, which leaves no tombstones, and make it anew with its security object and designs.

        They are kept in a database beside it meanwhile, so that a purge that is killed loses none of them.
        """
        info = self._ask("GET", self.path)
        state = {
            "_id": STATE,
            "security": self._ask("GET", f"{self.path}/_security"),
            "limit": self._ask("GET", f"{self.path}/_revs_limit", missing=True),
            "shards": {name: info.get("cluster", {}).get(name) for name in ("q", "n")},
            "partitioned": bool(info.get("props", {}).get("partitioned")),
            "designs": self._designs(),
        }
        self._ask("PUT", self.side, expected=EXISTS)
        if state["security"]:
            self._ask("PUT", f"{self.side}/_security", state["security"])
        if self._ask("GET", f"{self.side}/_all_docs")["rows"]:
            raise self._failed(f"the database {self.database}-lamp-purge is in its way and holds something else")
        self._ask("PUT", f"{self.side}/{STATE}", state)
        self._ask("DELETE", self.path, missing=True)
        self._restore(state)

    def _restore(self, state: dict[str, t.Any]) -> None:
        shards = {name: value for name, value in state["shards"].items() if value}
        options = {**shards, **({"partitioned": "true"} if state["partitioned"] else {})}
        query = f"?{urllib.parse.urlencode(options)}" if options else ""
        self._ask("PUT", self.path + query, expected=EXISTS)
        if state["security"]:
            self._ask("PUT", f"{self.path}/_security", state["security"])
        if isinstance(state["limit"], int):
            self._ask("PUT", f"{self.path}/_revs_limit", state["limit"])
        present = set(self._design_names())
        missing = [design for design in state["designs"] if design["_id"] not in present]
        for row in self._ask("POST", f"{self.path}/_bulk_docs", {"docs": missing}) if missing else ():
            if row.get("error"):
                raise self._failed(f"{row['id']} could not be put back: {row['error']}, {row.get('reason', '')}")
        self._ask("DELETE", self.side)

    def _designs(self) -> list[dict[str, t.Any]]:
        """The design documents with their attachments, without revisions."""
        documents = [self._ask("GET", f"{self.path}/{name}?attachments=true") for name in self._design_names()]
        return [{key: value for key, value in document.items() if key != "_rev"} for document in documents]

    def _design_names(self) -> list[str]:
        span = urllib.parse.urlencode({"startkey": '"_design/"', "endkey": '"_design0"'})
        return [row["id"] for row in self._ask("GET", f"{self.path}/_all_docs?{span}")["rows"]]

    # -- HTTP

    def _ask(self, method: str, path: str, body: t.Any = None, missing: bool = False, expected: int = 0) -> t.Any:
        """The JSON of the answer; None for 404 where something may be ``missing``, and for the ``expected`` status."""
        try:
            return self.client.ask(method, path, body)
        except Refused as error:
            if error.status == expected or (missing and error.status == MISSING):
                return None
            raise self._refused(method, path, error) from error

    def _refused(self, method: str, path: str, error: Refused) -> LampError:
        if error.status in DENIED:
            return LampError(
                "session_purge_denied",
                f"{method} {path} on {self.client.url} was refused: {error.text}.",
                "Check login_user and login_password. To drop and make anew a dedicated database takes a server admin.",
            )
        if error.status == MISSING and path.startswith(self.path):
            return LampError(
                "session_purge_no_database",
                f"The database {self.database} does not exist at {self.client.url}.",
                "Check login_db and url.",
            )
        return self._failed(f"{method} {path} answered {error}")

    def _failed(self, text: str) -> LampError:
        return LampError(
            "session_purge_failed", f"The sessions in {self.name} cannot be purged: {text}.", "See the server's log."
        )
