# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the defaults of the role come to."""

from __future__ import annotations

from tests.support.variables import evaluated


def socket(name: str, **given: str) -> str:
    given = {"maintenance_name": name, **given}
    return str(evaluated("maintenance", "maintenance_fpm_status_socket", given, "defaults"))


def test_sites_of_one_pool_share_its_status_and_pools_do_not() -> None:
    shop = socket("shop")
    assert shop == socket("wiki") == "/run/php/lamp-php8.2-fpm-www-status.sock"
    assert (
        len({shop, socket("shop", maintenance_fpm_pool="own"), socket("shop", maintenance_fpm_service="php8.3-fpm")})
        == 3
    )


def test_the_longest_name_of_a_variable_fits_into_nginxs_table() -> None:
    word = evaluated("maintenance", "maintenance__word", {"maintenance_name": "shop.staging.customers.example.com"})
    assert len(f"{word}_retry_after") <= 64 - 2 * 8 - 2  # a bucket less two pointers and the length
