# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timeline as a user sees it: real runs of ansible-playbook, with stand-ins for the collection's modules."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PLUGINS = HERE.parents[2] / "plugins"
NAMES = ("maintenance", "dbdeploy", "session_purge", "release")


@pytest.fixture()
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """ansible-playbook on three hosts, with this callback and a collection of stand-ins."""
    plugins = tmp_path / "ansible_collections" / "lamp" / "cluster" / "plugins"
    (plugins / "action").mkdir(parents=True)
    for name in NAMES:
        (plugins / "action" / f"{name}.py").symlink_to(HERE / "stand_ins" / "action.py")
    for name in ("callback", "module_utils", "plugin_utils"):
        (plugins / name).symlink_to(PLUGINS / name)
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(tmp_path))
    monkeypatch.setenv("ANSIBLE_STDOUT_CALLBACK", "lamp.cluster.timeline")
    monkeypatch.setenv("LAMP_REPORT_JSON", str(tmp_path / "reports" / "deploy.json"))
    monkeypatch.setenv("LAMP_REPORT_HTML", str(tmp_path / "reports" / "deploy.html"))
    inventory = tmp_path / "inventory"
    inventory.write_text("[web]\nweb1\nweb2\nweb3\n[web:vars]\nansible_connection=local\n")
    ansible = str(Path(sys.executable).with_name("ansible-playbook"))
    return [ansible, "-i", str(inventory), str(HERE / "deploy.yml")]


def run(command: list[str], *more: str) -> tuple[int, str]:
    """The exit code, and all that was printed."""
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def rest(terminal: int) -> bytes:
    """What is still written to it; then it is closed."""
    output = b""
    with contextlib.suppress(OSError):  # how Linux says that the other side is closed
        while chunk := os.read(terminal, 65536):
            output += chunk
    os.close(terminal)
    return output


def test_a_deploy_is_one_line_per_phase_and_a_summary(command: list[str], tmp_path: Path) -> None:
    code, output = run(command)
    assert code == 0, output
    lines = output.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("✓")] == [
        "stage",
        "block",
        "deltas",
        "switch",
        "purge",
        "unblock",
    ]
    assert "    42 42_index.sql · 2 statements · 0.50 s" in lines
    assert "- skipped: prune" in lines
    assert any(line.startswith("result      deployed") for line in lines)
    assert any(line.startswith("sessions    1,204 dropped") for line in lines)
    assert "TASK [a hook without a phase]" in output
    assert "TASK [stage" not in output
    document = json.loads((tmp_path / "reports" / "deploy.json").read_text())
    assert document["result"]["outcome"] == "deployed"
    assert [window["state"] for window in document["blocked"]["hosts"]] == ["open"] * 3
    assert (tmp_path / "reports" / "deploy.json").stat().st_mode & 0o777 == 0o600


def test_a_failure_is_told_in_full_and_escaped_in_the_page(command: list[str], tmp_path: Path) -> None:
    code, output = run(command, "-e", "fail=1")
    assert code == 2
    assert (
        "web1 failed: Break (dbdeploy_statement_failed)\n    Delta 43 failed at statement 2.\n    Mend <b>it</b>"
        in output
    )
    assert "failed, site blocked" in output
    page = (tmp_path / "reports" / "deploy.html").read_text()
    assert "&lt;b&gt;it&lt;/b&gt;" in page
    assert "<b>it" not in page


def test_of_a_loop_the_item_that_failed_is_told_and_the_loop_is_not(command: list[str], tmp_path: Path) -> None:
    playbook = tmp_path / "loop.yml"
    tasks = [
        {
            "name": "switch | Ask the load balancers",
            "ansible.builtin.fail": {"msg": "{{ item }} does not answer."},
            "delegate_to": "{{ item }}",
            "loop": ["web2", "web3"],
        }
    ]
    playbook.write_text(json.dumps([{"hosts": "web1", "gather_facts": False, "tasks": tasks}]))
    code, output = run([*command[:-1], str(playbook)])
    assert code == 2
    assert "(item: web2)\n    web2 does not answer." in output
    assert "One or more items failed" not in output
    assert "web1 -> {{ item }}" not in output
    document = json.loads((tmp_path / "reports" / "deploy.json").read_text())
    assert [failure["message"] for failure in document["failures"]] == ["web2 does not answer."]


def test_of_a_loop_each_item_says_as_much_as_its_label_and_no_log_allow(command: list[str], tmp_path: Path) -> None:
    playbook = tmp_path / "loop.yml"
    loop = {"loop": [{"user": "ada", "key": "hunter2"}], "loop_control": {"label": "{{ item.user }}"}}
    tasks = [
        {"name": "plan | Greet", "ansible.builtin.debug": {"msg": "Hello {{ item.user }}"}, **loop},
        {"name": "plan | Whisper", "ansible.builtin.debug": {"msg": "{{ item.key }}"}, **loop, "no_log": True},
        {"name": "switch | Fail", "ansible.builtin.fail": {"msg": "No."}, **loop},
    ]
    playbook.write_text(json.dumps([{"hosts": "web1", "gather_facts": False, "tasks": tasks}]))
    code, output = run([*command[:-1], str(playbook)])
    shown = [line.strip() for line in output.splitlines() if line.startswith("    ")]
    assert (code, shown[0], shown[2]) == (2, "web1: Hello ada", "No.")
    assert shown[3].startswith("task: ")
    assert shown[1].startswith("web1: the output has been hidden")
    assert "web1 failed: Fail (item: ada)" in output
    assert "hunter2" not in output


def test_a_task_without_a_phase_has_its_own_name_while_others_are_elsewhere(command: list[str], tmp_path: Path) -> None:
    waits, goes = (f"until [ -e {tmp_path / name} ]; do sleep 0.05; done" for name in ("begun", "gone"))
    raw = "ansible.builtin.raw"
    tasks = [
        {"name": "stage | Notify", raw: "true", "notify": "A handler", "when": "inventory_hostname == 'web1'"},
        {"name": "plan | Wait", raw: waits, "when": "inventory_hostname == 'web2'"},
        {"name": "switch | Go", raw: f"touch {tmp_path / 'gone'}", "when": "inventory_hostname == 'web2'"},
    ]
    handlers = [{"name": "A handler", raw: f"touch {tmp_path / 'begun'}; {goes}"}]
    play = {"hosts": "web1:web2", "strategy": "free", "gather_facts": False, "tasks": tasks, "handlers": handlers}
    playbook = tmp_path / "free.yml"
    playbook.write_text(json.dumps([play]))
    code, output = run([*command[:-1], str(playbook)])
    assert (code, "RUNNING HANDLER [A handler]" in output, "[switch | Go]" in output) == (0, True, False), output


def test_the_report_of_a_deploy_stays_when_other_playbooks_run(command: list[str], tmp_path: Path) -> None:
    assert run(command)[0] == 0
    reports = {path: path.read_bytes() for path in (tmp_path / "reports").iterdir()}
    assert len(reports) == 2
    asking = {"name": "plan | Look", "ansible.builtin.set_stats": {"data": {"status": {"verdict": "all is well"}}}}
    for task in (asking, {"name": "Prepare the host", "ansible.builtin.debug": {}}):
        playbook = tmp_path / "other.yml"
        playbook.write_text(json.dumps([{"hosts": "web1", "gather_facts": False, "tasks": [task]}]))
        code, output = run([*command[:-1], str(playbook)])
        assert code == 0, output
        assert {path: path.read_bytes() for path in (tmp_path / "reports").iterdir()} == reports


def test_verbose_shows_what_ansible_shows(command: list[str]) -> None:
    _code, output = run(command, "-v")
    assert "TASK [stage | Stage the release" in output
    assert "changed: [web1] => {" in output


def test_a_report_that_cannot_be_written_is_a_warning(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMP_REPORT_JSON", "/dev/null/deploy.json")
    code, output = run(command)
    assert code == 0
    assert "report_json was not written" in " ".join(output.split())


def test_a_terminal_has_a_live_line(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    output = rest(ours)
    assert process.wait() == 0
    assert b"site blocked" in output
    assert output.count(b"\r\x1b[K") > 1


def test_the_live_line_leaves_a_question_alone(
    command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    asked = [{"name": "name", "prompt": "Which release", "private": False}]
    told = {"ansible.builtin.debug": {"msg": "It is {{ name }}."}}
    first = {"name": "plan | Look", "ansible.builtin.debug": {}}
    plays = [{"hosts": "web1", "gather_facts": False, "tasks": [first]}]
    plays.append({"hosts": "web1", "gather_facts": False, "vars_prompt": asked, "tasks": [told]})
    playbook = tmp_path / "asking.yml"
    playbook.write_text(json.dumps(plays))
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*command[:-1], str(playbook)], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    output = b""
    while b"Which release: " not in output:
        output += os.read(ours, 65536)
    covered = select.select([ours], [], [], 0.5)[0]  # it is drawn each eighth of a second
    os.write(ours, b"b7\n")
    output += rest(ours)
    assert (process.wait(), covered) == (0, [])
    assert b"It is b7." in output
