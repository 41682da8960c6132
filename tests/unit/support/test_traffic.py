# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests' visitors take for a whole page."""

from __future__ import annotations

from email.message import Message
from pathlib import Path

import pytest

from tests.support.site import STAMPED, release
from tests.support.traffic import STAMP, classify


def page(version: str, *stamps: str) -> str:
    headers = Message()
    headers["X-Release"] = version
    for stamp in stamps:
        headers[STAMP] = stamp
    return classify(200, headers, f'<b id="release">{version}</b></html>'.encode())


@pytest.mark.parametrize("stamps", [("a", "b", "b"), ("b", "b"), ("b",), ("a", "a", "a")])
def test_a_page_of_files_of_two_releases_is_of_neither(stamps: tuple[str, ...]) -> None:
    assert page("b", "b", "b", "b") == page("b") == "b"
    assert page("b", *stamps) == f"b with files of {', '.join(stamps)}"


def test_each_file_of_a_release_that_a_test_makes_says_which_one_it_is(tmp_path: Path) -> None:
    made = release(tmp_path / "x1", "x1")
    assert [(made / name).read_text().count("header('X-Stamp: x1', false);") for name in STAMPED] == [1, 1, 1]
