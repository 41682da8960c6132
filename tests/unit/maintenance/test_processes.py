# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the processes of an HAProxy tell: who leaves, and whether another worker is about to take over."""

from __future__ import annotations

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._haproxy import processes
from ansible_collections.lamp.cluster.plugins.module_utils._haproxy.runtime import Runtime

WAITS = "HAPROXY_MWORKER_WAIT_ONLY=1"


class Told(Runtime):
    """A worker 20 that answers."""

    def __init__(self, version: str, address: str = "/run/haproxy/admin.sock") -> None:
        super().__init__(address)
        self.version = version

    def ask(self, command: str) -> str:
        return f"Name: HAProxy\nVersion: {self.version}\nPid: 20\n"


@pytest.mark.parametrize(
    ("version", "called", "others", "expected"),
    [
        ("2.6.12-1", f"haproxy -Ws {WAITS}", {}, (0, False)),  # nothing goes on
        ("2.6.12-1", "haproxy -sf 9 20 -x sockpair@3 -Ws", {"9": ("S", 5)}, (1, True)),  # the master reads
        ("2.4.22", "haproxy -sf 9 -x sockpair@3 -Ws", {}, (0, False)),  # and has read
        ("2.4.22", f"haproxy -sf 20 -x sockpair@3 -Ws {WAITS}", {}, (0, False)),  # in vain
        ("3.2.4-98e54d9", "haproxy -sf 20 -x sockpair@3 -Ws", {"21": ("R", 300)}, (1, True)),  # a worker reads
        ("3.2.4-98e54d9", "haproxy -sf 20 -x sockpair@3 -Ws", {"21": ("Z", 300)}, (0, False)),  # in vain
        ("3.2.4-98e54d9", "haproxy -sf 9 -x sockpair@3 -Ws", {"9": ("S", 5)}, (1, False)),  # and has read
        ("2.6.12-1", f"haproxy -Ws {WAITS}", {"200": ("R", 300)}, (1, True)),  # made, and about to answer
    ],
)
def test_a_reload_is_seen_until_the_new_worker_answers(
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    called: str,
    others: dict[str, tuple[str, int]],
    expected: tuple[int, bool],
) -> None:
    def stat(pid: str, state: str, parent: str, began: int) -> str:
        return f"{pid} (haproxy) {state} {parent} {'0 ' * 17}{began} 0 0\n"

    files = {f"/proc/{pid}/stat": stat(pid, state, "1", began) for pid, (state, began) in others.items()}
    command, _blank, environment = called.partition(" HAPROXY")
    files |= {
        "/proc/1/stat": stat("1", "S", "0", 1),
        "/proc/1/cmdline": command.replace(" ", "\0") + "\0",
        "/proc/1/environ": f"_=/usr/sbin/haproxy\0HAPROXY{environment}\0",
        "/proc/1/task/1/children": " ".join([*others, "20", "30"]),
        "/proc/20/stat": stat("20", "S", "1", 200),
        "/proc/30/stat": stat("30", "S", "1", 400).replace("haproxy", "dataplaneapi"),
    }
    monkeypatch.setattr(processes, "read", lambda file: files.get(file, ""))
    assert processes.look(Told(version)) == expected
    assert processes.look(Told(version, "127.0.0.1:9999")) == (0, False)
    files["/proc/1/stat"] = files["/proc/1/stat"].replace("haproxy", "systemd")
    assert processes.look(Told(version)) == (0, False)
