<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Shop;

require __DIR__ . '/../src/shop.php';

boot();
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    session();
    $_SESSION = [];
    session_destroy();
}
redirect('/');
