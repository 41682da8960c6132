<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// The session counter for programs: who is logged in, how many requests, which host answered.

declare(strict_types=1);

namespace Shop;

require __DIR__ . '/../src/shop.php';

boot();
session();
$count = count_visit();
json([
    'user' => $_SESSION['user'] ?? null,
    'count' => $count,
    'host' => host(),
    'release' => version(),
]);
