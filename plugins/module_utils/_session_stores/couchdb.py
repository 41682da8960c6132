# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in a server of CouchDB's protocol: one database per session name, a document per session."""

from __future__ import annotations

import hashlib
import json
import typing as t
import urllib.parse

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import Simple, Tally
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.couchdb_client import Client, Refused
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.selection import SHOWN, Selection

PAGES = (50, 2000)  # documents that are read in one step, at least and at most: as many as are about so many
BYTES = 4 << 20
MISSING, DENIED, CONFLICT, EXISTS = 404, (401, 403), 409, 412
STATE = "lamp_purge"  # the document that holds what must outlive the database
ADMIN = "_admin"  # the role of server admins
EPOCH = "lamp-epoch"  # this collection's own handler counts sessions of the epoch that it holds alone
TRIES = 5  # to raise it, while requests make it
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
        self.in_window = params["leftovers"] == "leave"
        self.live_from: int | None = None  # the epoch whose sessions had not ended before this purge
        self.first = 0  # the epoch that sessions without one belong to
        self.ended: bool | None = None  # in a window: whether the epoch has ended all sessions, and they were told
        own = (f"session-{hashlib.sha256(text.encode()).hexdigest()}" for text in self.selection.keep_ids)
        self.kept = self.selection.keep_ids | frozenset(own)  # the own handler stores ids hashed
        self.saved: dict[str, t.Any] = {}  # in check mode, what a purge that was killed has yet to put back
        self.name = f"couchdb {self.database}"

    def begin(self, check: bool) -> dict[str, t.Any]:
        """Raise the epoch of this collection's own handler: what requests in flight still write does not count.

        What an earlier purge began is finished first, if it was killed while the database was made anew.
        """
        if self.dedicated:
            self._check_admin()
            self._check_alone()
        self._finish(check)
        return self._raise_epoch(check)

    def _finish(self, check: bool) -> None:
        """Put back what a purge that was killed has not; in check mode only know of it."""
        saved = self._saved()
        if check:
            self.saved = saved
        elif saved:
            self._restore(saved)

    def _saved(self) -> dict[str, t.Any]:
        return self._ask("GET", f"{self.side}/{STATE}", missing=True) or {}

    def _is_away(self) -> bool:
        """Whether the database is missing for the moment: a purge was killed between dropping and making it."""
        return self._ask("GET", self.path, missing=True) is None and bool(self._saved())

    def _check_admin(self) -> None:
        """See that the user may drop databases. Servers that do not tell are taken at their word later."""
        user = (self._ask("GET", "/_session", missing=True) or {}).get("userCtx", {})
        if "roles" in user and ADMIN not in user["roles"]:
            raise LampError(
                "session_purge_denied",
                f"The user {user.get('name') or 'without a name'} may not drop and make anew the database"
                f" {self.database} at {self.client.url}: that takes a server admin. Nothing was purged.",
                "Give login_user and login_password of one, or set dedicated to false.",
            )

    def _check_alone(self) -> None:
        """See that no replication of this server is about the database. Those that others make are not known here."""
        found = self._ask("GET", "/_replicator/_all_docs?include_docs=true", missing=True) or {"rows": ()}
        for document in (row["doc"] for row in found["rows"]):
            ends = {_database_of(document.get(end)) for end in ("source", "target")}
            if document.get("continuous") and self.database in ends:
                raise LampError(
                    "session_purge_replicated",
                    f"The database {self.database} at {self.client.url} is replicated (document {document['_id']} of"
                    " _replicator): from its peer all sessions would come back. Nothing was purged.",
                    "Set dedicated to false: documents that are deleted one by one are deleted everywhere.",
                )

    def count(self) -> Tally:
        """Documents that are sessions; all but design documents where they are ended at once."""
        if self._is_away():
            return Tally(0, 0, exact=self.dedicated or self.ended is None)
        if not self.dedicated and self.ended is None:
            return self._walk(self._is_selected, remove=False)
        number = int(self._ask("GET", self.path)["doc_count"]) - len(self._lasting())
        kept = 0 if self.dedicated else len(self._kept())
        return Tally(number, number - kept, exact=self.dedicated)

    def purge(self) -> Tally:
        """Drop the database and make it anew, or delete the documents that one walk finds.

        In a window the epoch has ended them all, and they are swept later.
        """
        if self.dedicated:
            found = self.count()
            if found.selected:
                self._make_anew()
            return found
        if self.ended is None:
            return self._walk(self._is_selected, remove=True)
        found = self.count()
        if self.ended:
            return found._replace(total=found.total - found.selected, selected=0)
        self.ended = True
        return found

    def sweep(self, remove: bool) -> int:
        """Delete the sessions that an epoch ended in an earlier run, or in a window."""
        self._finish(check=not remove)
        epoch = self._read_epoch()
        if not epoch or self._is_away():
            return 0
        self.live_from = 0
        return self._walk(lambda document: self._epoch_of(document) < int(epoch["epoch"]), remove).selected

    # -- the epoch

    def _read_epoch(self) -> dict[str, t.Any]:
        """The document that holds it; empty where another handler's sessions are."""
        waiting = {document["_id"]: document for document in self.saved.get("documents", ())}
        epoch: dict[str, t.Any] = self._ask("GET", f"{self.path}/{EPOCH}", missing=True) or waiting.get(EPOCH, {})
        self.live_from = int(epoch.get("epoch", 0))
        self.first = int(epoch.get("first", 0))
        return epoch

    def _epoch_of(self, document: dict[str, t.Any]) -> int:
        """The epoch that a session was written in."""
        epoch = document.get("epoch")
        return epoch if isinstance(epoch, int) else self.first

    def _raise_epoch(self, check: bool) -> dict[str, t.Any]:
        """Only where all sessions end, or all but some ids, which are taken along: it would end the others too."""
        for _try in range(TRIES):
            epoch = self._read_epoch()
            kept = self._kept() if epoch else []
            if not epoch or any("epoch" not in document for document in kept):
                return {}  # another handler's sessions, or one to keep that has no epoch of its own
            if not (self.selection.everything or self.selection.all_but_ids):
                return {}
            new = int(epoch["epoch"]) + 1
            self.ended = False if self.in_window else None
            if check or self._ask("PUT", f"{self.path}/{EPOCH}", {**epoch, "epoch": new}, expected=CONFLICT):
                if kept and not check:
                    self._carry(kept, int(epoch["epoch"]), new)
                return {"epoch": new}
        raise self._failed(f"the document {EPOCH} is changed all the time")

    def _carry(self, kept: list[dict[str, t.Any]], old: int, new: int) -> None:
        """Take sessions to keep along into the new epoch; one that was written meanwhile, as it is then."""
        for _try in range(TRIES):
            carried = [{**document, "epoch": new} for document in kept if document.get("epoch") == old]
            if not carried or self._write(carried):
                return
            kept = self._kept()
        raise self._failed("a session to keep is written all the time, and could not be taken into the new epoch")

    def _kept(self) -> list[dict[str, t.Any]]:
        """The sessions to keep, as documents."""
        if not self.kept or self._is_away():
            return []
        answer = self._ask("POST", f"{self.path}/_all_docs?include_docs=true", {"keys": sorted(self.kept)})
        return [row["doc"] for row in answer["rows"] if row.get("doc")]

    # -- document by document

    def _walk(self, selects: t.Callable[[dict[str, t.Any]], bool], remove: bool) -> Tally:
        """Look at all documents, pages of them at a time; those of sessions that had ended before do not count."""
        if self.live_from is None:
            self._read_epoch()
        total = selected = ignored = 0
        for page in self._pages():
            doomed = []
            for document in page:
                if document["_id"].startswith("_design/") or document["_id"] == EPOCH:
                    continue
                if not _is_session(document):
                    ignored += 1
                    continue
                if self._epoch_of(document) < (self.live_from or 0):
                    continue
                total += 1
                if selects(document):
                    selected += 1
                    doomed.append({"_id": document["_id"], "_rev": document["_rev"], "_deleted": True})
            if remove and doomed:
                self._write(doomed)  # one that was written meanwhile is found again by the next pass
        return Tally(total, selected, ignored=ignored)

    def _pages(self) -> t.Iterator[list[dict[str, t.Any]]]:
        """All documents, as many at a time as make a few megabytes."""
        size, start = PAGES[0], ""
        while True:
            query = {"include_docs": "true", "limit": size + 1, **({"startkey": json.dumps(start)} if start else {})}
            rows = self._ask("GET", f"{self.path}/_all_docs?{urllib.parse.urlencode(query)}")["rows"]
            yield [row["doc"] for row in rows[:size]]
            if len(rows) <= size:
                return
            start = rows[size]["id"]
            size = min(max(BYTES * len(rows) // self.client.received, PAGES[0]), PAGES[1])

    def _is_selected(self, document: dict[str, t.Any]) -> bool:
        if document["_id"] in self.kept:
            return False
        if self.selection.older_than is None:
            return True
        created = document["createdAt"]
        if not isinstance(created, (int, float)):
            raise self._failed(
                f"createdAt of the document {document['_id'][:SHOWN]}… is no number, so older_than cannot be told"
            )
        return created / (1000 if created > MILLISECONDS else 1) < self.selection.before

    def _write(self, documents: list[dict[str, t.Any]]) -> bool:
        """Change documents, or delete them; False if others wrote some of them meanwhile, which stay as they are."""
        rows = self._ask("POST", f"{self.path}/_bulk_docs", {"docs": documents})
        for row in rows:
            if row.get("error") and row["error"] != "conflict":
                raise self._failed(f"{row['error']}, {row.get('reason', '')}")
        return not any(row.get("error") for row in rows)

    # -- all at once

    def _make_anew(self) -> None:
        """Drop the database, which leaves no tombstones, and make it anew with all that is no session.

        They are kept in a database beside it meanwhile, so that a purge that is killed loses none of them.
        """
        info = self._ask("GET", self.path)
        state = {
            "_id": STATE,
            "security": self._ask("GET", f"{self.path}/_security"),
            "limit": self._ask("GET", f"{self.path}/_revs_limit", missing=True),
            "shards": {name: info.get("cluster", {}).get(name) for name in ("q", "n")},
            "partitioned": bool(info.get("props", {}).get("partitioned")),
            "documents": self._documents(),
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
        present = set(self._lasting())
        missing = [document for document in state["documents"] if document["_id"] not in present]
        for row in self._ask("POST", f"{self.path}/_bulk_docs", {"docs": missing}) if missing else ():
            if row.get("error"):
                raise self._failed(f"{row['id']} could not be put back: {row['error']}, {row.get('reason', '')}")
        self._ask("DELETE", self.side)

    def _documents(self) -> list[dict[str, t.Any]]:
        """What outlives the database: design documents with their attachments, and the epoch; without revisions."""
        names = ("/".join(urllib.parse.quote(part, safe="") for part in name.split("/", 1)) for name in self._lasting())
        documents = [self._ask("GET", f"{self.path}/{name}?attachments=true") for name in names]
        return [{key: value for key, value in document.items() if key != "_rev"} for document in documents]

    def _lasting(self) -> list[str]:
        """The names of these documents."""
        span = urllib.parse.urlencode({"startkey": '"_design/"', "endkey": '"_design0"'})
        names = [row["id"] for row in self._ask("GET", f"{self.path}/_all_docs?{span}")["rows"]]
        return names + ([EPOCH] if self._ask("GET", f"{self.path}/{EPOCH}", missing=True) else [])

    # -- HTTP

    def _ask(self, method: str, path: str, body: t.Any = None, missing: bool = False, expected: int = 0) -> t.Any:
        """The JSON of the answer; None for 404 where something may be ``missing``, and for the ``expected`` status."""
        try:
            return self.client.ask(method, path, body)
        except Refused as error:
            if error.status == expected or (missing and error.status == MISSING):
                return None
            place = path.partition("?")[0]  # where a page begins is said behind it, which may be a session's id
            raise self._refused(method, place, error) from error

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
                "Check login_db and url. This collection's own handler makes it at the first request: if none has come"
                f" yet, make it empty (curl -u USER -X PUT '{self.client.url}{self.path}') and run it again.",
            )
        return self._failed(f"{method} {path} answered {error}")

    def _failed(self, text: str) -> LampError:
        return LampError(
            "session_purge_failed", f"The sessions in {self.name} cannot be purged: {text}.", "See the server's log."
        )


def _is_session(document: dict[str, t.Any]) -> bool:
    """Whether a handler would take it for one: a document of no type, as other handlers write them, or of that type."""
    return {"data", "createdAt"} <= set(document) and document.get("type") in (None, "session")


def _database_of(end: t.Any) -> str:
    """The database that a replication's source or target names: alone, or in an address, which may be in an object."""
    address = end.get("url") if isinstance(end, dict) else end
    return urllib.parse.unquote(str(address).rstrip("/").rpartition("/")[2])
