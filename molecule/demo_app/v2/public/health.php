<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// 200 where PHP runs; needs neither database nor session. "release" is the folder that this code runs from.

declare(strict_types=1);

namespace Shop;

require __DIR__ . '/../src/shop.php';

boot();
json([
    'status' => 'ok',
    'version' => version(),
    'release' => release(),
    'host' => host(),
]);
