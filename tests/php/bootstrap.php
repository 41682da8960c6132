<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// Finds the classes of the role, and makes every message of PHP a failure of its test.

declare(strict_types=1);

spl_autoload_register(static function (string $class): void {
    $folders = [
        'Lamp\\Cluster\\Session\\' => __DIR__ . '/../../roles/session_store/files/php/',
        'Lamp\\Cluster\\Tests\\' => __DIR__ . '/',
    ];
    foreach ($folders as $prefix => $folder) {
        if (str_starts_with($class, $prefix)) {
            require_once $folder . substr($class, strlen($prefix)) . '.php';
        }
    }
});

error_reporting(E_ALL);
ini_set('session.gc_maxlifetime', '1000');
