# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The maintenance page by itself: what it needs, who can read it, and that a message is no more than a message."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.page import render

VOID = {"meta", "br", "link", "img"}


class Reader(HTMLParser):
    """The elements, their attributes and what a reader hears; every element must be closed in its order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words += data

    def attributes(self, tag: str) -> dict[str, str | None]:
        return next(attributes for name, attributes in self.elements if name == tag)


@pytest.fixture(scope="module")
def page() -> str:
    return render("Back at six.", 120)["html"]


def test_it_is_whole_and_says_what_it_is_to_every_reader(page: str) -> None:
    reader = Reader(page)
    assert not reader.open
    assert reader.attributes("html")["lang"] == "en"
    assert "width=device-width" in page
    assert [name for name, _attributes in reader.elements].count("h1") == 1
    assert reader.attributes("svg")["aria-hidden"] == "true"
    assert any(attributes.get("role") == "status" for _name, attributes in reader.elements)
    assert "Under maintenance" in reader.words
    assert "Back at six." in reader.words


def test_it_asks_for_nothing_that_would_be_blocked_as_well(page: str) -> None:
    wanted = [attributes for _name, attributes in Reader(page).elements if {"src", "href", "srcset"} & set(attributes)]
    assert not wanted
    assert not re.findall(r"https?:|url\(|@import", page)


def test_it_is_one_line_where_a_web_server_wants_that(page: str) -> None:
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(script) == 1
    assert "//" not in script[0]  # it would comment the rest of the line away
    assert Reader(" ".join(page.split())).words.split() == Reader(page).words.split()


# The page's script in a browser of a few lines: how it asks, and by what it leaves, at an address and its answers.
BROWSER = """
const [script, href, answers] = JSON.parse(require("fs").readFileSync(0));
const location = { href, replace: to => done("replace " + to), reload: () => done("reload") };
const document = { getElementById: () => ({}) };
const setTimeout = next => setImmediate(next);
let asked = 0;
const done = how => console.log(`${how} after ${asked}`);
async function fetch(_url, { method, redirect }) {
  const answer = answers[asked++];
  if (method !== "HEAD" || answer === 0) throw new Error("no network");
  if (answer !== 302) return { status: answer, headers: new Map() };
  if (redirect !== "manual") throw new Error("no answer of another origin for a script");
  return { status: 0, type: "opaqueredirect" };
}
eval(script);
"""


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
@pytest.mark.parametrize(
    ("href", "answers", "left"),
    [
        ("http://shop.test/", [503, 200], "replace http://shop.test/ after 2"),
        ("http://shop.test/", [503, 0, 502, 429, 504, 404], "replace http://shop.test/ after 6"),
        ("http://shop.test/", [503, 302], "replace http://shop.test/ after 2"),
        ("http://shop.test/#/cart", [200], "reload after 1"),  # replace would only jump within the page
        ("http://shop.test/#", [200], "reload after 1"),
    ],
)
def test_it_leaves_once_the_site_answers(page: str, href: str, answers: list[int], left: str) -> None:
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)[0]
    done = subprocess.run(
        ["node", "-e", BROWSER], input=json.dumps([script, href, answers]), capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == (left, "")


def luminance(colour: str) -> float:
    """Of a colour as #rgb or #rrggbb, as WCAG defines it."""
    digits = colour.lstrip("#")
    parts = [
        int(part, 16) / 255 for part in (re.findall("..", digits) if len(digits) == 6 else [d * 2 for d in digits])
    ]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_its_text_can_be_read_in_the_light_and_in_the_dark(page: str) -> None:
    schemes = [dict(re.findall(r"--(\w+): (#\w+)", line)) for line in re.findall(r":root \{.*\}", page)]
    assert len(schemes) == 2
    for colours in schemes:
        assert contrast(colours["ink"], colours["paper"]) >= 7
        assert contrast(colours["soft"], colours["paper"]) >= 4.5
        assert contrast(colours["accent"], colours["paper"]) >= 3


def test_a_message_is_text() -> None:
    message = 'One\nTwo <b>&amp; "x" {message} %s\x00\x1b\u2028</main>'
    pages = render(message, 5)
    reader = Reader(pages["html"])
    assert "b" not in [name for name, _attributes in reader.elements]
    assert 'Two <b>&amp; "x" {message} %s</main>' in reader.words
    assert json.loads(pages["json"])["message"] == 'One\nTwo <b>&amp; "x" {message} %s</main>'
