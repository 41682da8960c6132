# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the defaults of the role come to."""

from __future__ import annotations

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.support.modules import ROOT


def socket(name: str, **given: str) -> str:
    loader = DataLoader()
    defaults = loader.load_from_file(str(ROOT / "roles/maintenance/defaults/main.yml"), trusted_as_template=True)
    templar = Templar(loader, {**defaults, "maintenance_name": name, **given})
    return str(templar.template(trust_as_template("{{ maintenance_fpm_status_socket }}")))


def test_sites_of_one_pool_share_its_status_and_pools_do_not() -> None:
    shop = socket("shop")
    assert shop == socket("wiki") == "/run/php/lamp-php8.2-fpm-www-status.sock"
    assert (
        len({shop, socket("shop", maintenance_fpm_pool="own"), socket("shop", maintenance_fpm_service="php8.3-fpm")})
        == 3
    )
