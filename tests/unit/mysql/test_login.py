# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A login of a kind for which PyMySQL needs another library, which is not there."""

from __future__ import annotations

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils import _mysql
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

DEFAULTS = {name: option.get("default") for name, option in _mysql.MYSQL_ARGUMENTS.options.items()}


def test_the_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(connection: object) -> None:
        raise RuntimeError(
            "'cryptography' package is required for sha256_password or caching_sha2_password auth methods"
        )

    monkeypatch.setattr(_mysql._Connection, "connect", connect)
    with pytest.raises(LampError) as caught:
        _mysql.connect({**DEFAULTS, "login_host": "db1", "login_user": "ann"})
    assert caught.value.code == "mysql_library_missing"
    assert "ann@db1:3306" in caught.value.message
    assert "'cryptography' package" in caught.value.message
    assert "python3-cryptography" in caught.value.next_step
