<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// For the handlers of former times: the database of the test.

declare(strict_types=1);

function former_database(): PDO
{
    $settings = require getenv('LAMP_SESSION_CONFIG');
    $server = $settings['servers'][0];
    return new PDO(
        "mysql:host=$server[host];port=$server[port];dbname=$settings[database];charset=utf8mb4",
        $settings['user'],
        $settings['password'],
    );
}
