# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module says of its options to the system log of the host, and with its result."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.parameters import PASS_VARS
from ansible.module_utils.testing import patch_module_args
from ansible_collections.lamp.cluster.plugins.module_utils import _module
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.options import ARGUMENTS
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

DELTAS = [{"name": f"{number}_x.sql", "content": f"DO 4711 + {number};"} for number in range(1, 1001)]


def work(module: AnsibleModule) -> dict[str, Any]:
    """The module's work as it finds its options."""
    if module.params["to"]:
        raise LampError("dbdeploy_x", "It fails.", "Do nothing.")
    return {"changed": False, "first": module.params["deltas"][0]["content"]}


@pytest.mark.parametrize("options", [{}, {"to": 1}, {"src": "/nowhere"}])
def test_deltas_are_counted_and_not_written_out(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(AnsibleModule, "log", lambda _self, message, **_more: logged.append(message))
    arguments = {"deltas": DELTAS, "login_db": "shop", "login_password": "hidden-word", **options}
    if "inject_invocation" in PASS_VARS:  # since ansible-core 2.21 only on demand
        arguments["_ansible_inject_invocation"] = True
    with patch_module_args(arguments), pytest.raises(SystemExit):
        _module.run(ARGUMENTS.create_module(), work)
    said = capsys.readouterr().out
    assert "hidden-word" not in f"{said} {logged}"
    answer = json.loads(said)
    assert answer.get("first") == (None if options else "DO 4711 + 1;")  # and the module has them
    told = answer["invocation"]["module_args"]
    assert "4711" not in str(told)
    assert (told["deltas"], told["login_db"]) == ("(1000 of them)", "shop")
    if "src" not in options:  # else it was refused before it was logged
        assert ["deltas=(1000 of them)" in line and "login_db=shop" in line for line in logged] == [True]
