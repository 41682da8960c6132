<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// How long the handlers wait by themselves.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

function usleep(int $microseconds): void
{
    $GLOBALS['slept'] = ($GLOBALS['slept'] ?? 0) + $microseconds;
    \usleep($microseconds);
}
