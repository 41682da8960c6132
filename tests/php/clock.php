<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// The clock of this web host, as the handlers see it: tests set it ahead.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

function time(): int
{
    return \time() + ($GLOBALS['ahead'] ?? 0);
}
