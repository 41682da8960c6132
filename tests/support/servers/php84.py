# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PHP 8.4 and its PHPUnit, of the Debian release after this machine's; run in place, nothing is installed."""

from __future__ import annotations

from tests.support.debian import unpacked
from tests.support.modules import ROOT

CACHE = ROOT / ".cache" / "php84"
PACKAGES = ("php8.4-cli", "php8.4-mysql", "php8.4-xml", "php8.4-mbstring", "phpunit")
KEPT = ("bin/php8.4", "bin/phpunit", "lib/php/*", "lib/*-linux-gnu/*.so*", "share/php")
EXTENSIONS = (
    "ctype", "dom", "mbstring", "mysqlnd", "pdo", "pdo_mysql", "phar", "posix", "tokenizer", "xml", "xmlwriter",
)  # fmt: skip


def phpunit() -> list[str]:
    """The beginning of a command line."""
    folder = unpacked(CACHE, "trixie", PACKAGES, KEPT)
    for path in (folder / "share" / "php").rglob("[aA]utoload.php"):
        text = path.read_text()
        if "'/usr/share/php" in text:  # there is this machine's own PHPUnit
            path.write_text(text.replace("'/usr/share/php", f"'{folder}/share/php"))
    libraries = next(folder.glob("lib/*-linux-gnu"))
    extensions = next(folder.glob("lib/php/*/pdo.so")).parent
    settings = [
        f"extension_dir={extensions}", *(f"extension={name}" for name in EXTENSIONS),
        f"include_path={folder / 'share' / 'php'}", "memory_limit=512M",
    ]  # fmt: skip
    return [
        str(next(libraries.glob("ld-linux-*.so.*"))), "--library-path", str(libraries), str(folder / "bin" / "php8.4"),
        "-n", *(part for setting in settings for part in ("-d", setting)), str(folder / "bin" / "phpunit"),
    ]  # fmt: skip
