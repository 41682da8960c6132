# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/tutorial.md as it stands: its files are written, its commands run, and what it says they print is printed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.cluster import BED, ROOT, WORKER, subnet

TUTORIAL = ROOT / "docs" / "tutorial.md"
FOLDER = ROOT / ".demo" / "tutorial"
NAME = f"{os.environ.get('LAMP_BED') or 'e2e'}-tutorial{WORKER}"
BLOCK = re.compile(
    r"(?:^`(?P<file>[^`\n]+)`:\n\n|^<!-- exit code: (?P<code>\d+) -->\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Step:
    """A block of the page: a file to write, or commands with the lines that they must print."""

    kind: str
    text: str
    file: str
    code: int
    printed: list[str]

    def script(self, number: int) -> str:
        """The step as lines of a shell script."""
        if self.file:
            return f"mkdir -p \"$(dirname '{self.file}')\"\ncat >'{self.file}' <<'@@end'\n{self.text}@@end\n"
        if not self.code:
            return f"echo '@@{number}'\n{self.text}"
        return f"echo '@@{number}'\nset +e\n{self.text}code=$?\nset -e\n[ $code = {self.code} ]\n"


def steps() -> list[Step]:
    """What the page wants done, in its order."""
    found: list[Step] = []
    for match in BLOCK.finditer(TUTORIAL.read_text()):
        if match["kind"] == "text":
            found[-1].printed = match["text"].splitlines()
        else:
            found.append(Step(match["kind"], match["text"], match["file"] or "", int(match["code"] or 0), []))
    return found


@pytest.fixture()
def environment() -> Iterator[dict[str, str]]:
    """A shell's environment without Ansible's settings, and a bed of its own that is gone afterwards."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    own = {**plain, "LAMP_BED": NAME, "LAMP_BED_SUBNET": subnet(1), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "200"}
    shutil.rmtree(FOLDER, ignore_errors=True)
    yield own
    subprocess.run([BED, "down"], env=own, check=True)
    shutil.rmtree(FOLDER, ignore_errors=True)


@pytest.mark.long
def test_the_tutorial_works_as_it_stands(environment: dict[str, str]) -> None:
    page = steps()
    assert {step.kind for step in page if not step.file} == {"sh"}
    script = "".join(step.script(number) for number, step in enumerate(page))
    done = subprocess.run(
        ["bash", "-e"], input=f"main() {{\n{script}\n}}\nmain </dev/null\n", text=True, check=False, cwd=ROOT,
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    shown = dict(zip(*[iter(re.split(r"^@@(\d+)\n", done.stdout, flags=re.MULTILINE)[1:])] * 2))
    for number, step in enumerate(page):
        for line in step.printed:
            assert line in shown[str(number)], f"not printed: {line}\n{step.text}\n{shown[str(number)]}"
    assert sum(len(step.printed) for step in page) > 10
