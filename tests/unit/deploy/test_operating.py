# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/operating.md shows what the status says, as it says it."""

from __future__ import annotations

import datetime

from ansible_collections.lamp.cluster.plugins.plugin_utils._deploy.standing import standing

from tests.support.modules import ROOT
from tests.unit.deploy.test_deploy import QUIET, entry, look

LIVE, NEW = "2f1c9a04be7712aa", "81be22d5cf0a9a31"


def test_the_status_is_shown_as_it_is() -> None:
    done = {
        **entry(release=LIVE, id="2026-11-20T10:12:31.000000Z", by="bob@deploy1", finished=True, result="deployed"),
        "blocked_seconds": {"web1": 2.4, "web2": 2.1},
        "deltas": ["043_index.sql"],
    }
    begun = entry(
        release=NEW, id="2026-11-21T03:00:04.000000Z", by="ann@deploy1", result="unfinished", source="build/shop"
    )
    since = datetime.datetime(2026, 11, 21, 3, 0, 7, tzinfo=datetime.timezone.utc).timestamp()
    host = look(LIVE, releases="", block={"owner": "deploy", "since": since}, journal=[done, begun], current_whole=True)
    host["releases"] = [{"release": LIVE, "rejected": "", "deltas": [43]}]
    lock = {"stale_taken": "ann on deploy1 (process 4711) since 2026-11-21T03:00:02Z"}
    half = {"number": 44, "direction": "do", "unknown": False}
    database = {**QUIET, "pending": [{"number": 44, "name": "044_split.sql"}], "unfinished": [half]}
    told = standing({"web1": host, "web2": host}, lock, database, [])
    page = (ROOT / "docs" / "operating.md").read_text()
    assert "```\n" + "\n".join(told["lines"]) + "\n```" in page
