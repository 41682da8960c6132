# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts, split here and by the real ``mariadb`` client: the server must get the same from both."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.script import split
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from tests.support.servers.recording import MODE, RecordingServer

inner = st.text(alphabet="ab;'\"`\\#-/*! \t\n$@é", max_size=6)
pieces = st.one_of(
    st.sampled_from(
        [
            "SELECT 1", "SELECT ", "a", "b b", "'", '"', "`", "/*", "*/", "/*!", "/*!50000 ", "/*M!100000 ", "-- ",
            "--", "# ", "\\N", "\\", ";", ";", ";", "//", "$$", "\n", "\n", "\n", " ", "\t", "\r\n",
            "\ndelimiter //\n",
            "\nDELIMITER ;\n", "\ndelimiter $$ -- x\n", "\nDelimiter ';;'\n", "'é;'", "+", "/", "*", "!", "BEGIN",
            "END",
            "''", '""', "``", "\\'", ";\nSET sql_mode='ANSI_QUOTES';\n", ";\nSET sql_mode='NO_BACKSLASH_ESCAPES';\n",
            ";\nSET sql_mode='';\n", "SELECT\n", "CREATE PROCEDURE p() SELECT 1", "SET @x=1", "\nstatus", "go", "é",
        ]
    ),
    *(st.builds(form.format, inner) for form in ("'{}'", '"{}"', "`{}`", "/*{}*/", "/*!{}*/", "/*M!{}*/")),
    *(st.builds(form.format, inner) for form in ("-- {}\n", "#{}\n")),
)  # fmt: skip
scripts = st.lists(pieces, min_size=1, max_size=12).map("".join)


@pytest.fixture(scope="module")
def client() -> Iterator[RecordingServer]:
    with RecordingServer() as server:
        yield server


def comparable(texts: list[str], script: str) -> list[str]:
    """Statements as the server sees them. Where DELIMITER lets several through at once, it tells them apart itself;
    and the client drops a line end after a word ``delimiter`` in the middle of a statement."""
    stripped = [text.strip() for text in texts]
    if "delimiter" not in script.lower():
        return [text for text in stripped if text]
    together = re.sub(r"\s+", "", ";".join(stripped))
    return [text for text in together.split(";") if text]


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(scripts)
@example("SELECT 'a\\\nb';\n-- c\nSELECT 2")
@example("SELECT 1/* a */+/*!50000 2 */;\nSELECT 5--1;\n--x;\nSELECT 3")
@example("/*! a /* b */ c */ d; e")
@example("/* a /*! b */ c */ d; e")
@example("/*! a\n/* b */ c */ d; e")
@example("delimiter //\nSELECT 1; SELECT 2 //\ndelimiter ;\nSELECT 3;")
@example("SELECT 'a\r\nb';\r\nSELECT `a\\`, 1;")
def test_the_client_sends_the_same(client: RecordingServer, script: str) -> None:
    try:
        ours = [statement.text for statement in split(script)]
    except LampError as error:
        assert error.code == "dbdeploy_client_command"
        return
    # A SET that fails changes nothing, but here nobody knows that it will.
    assume(all(MODE.fullmatch(text) or "sql_mode" not in text.lower() for text in ours))
    assert comparable(ours, script) == comparable(client.received(script), script)


@pytest.mark.parametrize(("mode", "string"), [("NO_BACKSLASH_ESCAPES", "'a\\'"), ("ANSI_QUOTES", '"a\\"')])
def test_the_modes_that_dumps_keep_in_variables_are_followed(mode: str, string: str) -> None:
    script = [
        "/*!50003 SET @saved_sql_mode       = @@sql_mode */",
        f"SET sql_mode              = '{mode}'",
        f"SELECT {string}, 1",
        "/*!50003 SET sql_mode              = @saved_sql_mode */",
        "SELECT 'a\\';b', \"a\\\";b\"",
    ]
    assert [statement.text for statement in split(";\n".join(script))] == script
