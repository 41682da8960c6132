<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// The handler that the settings ask for.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

final class Handlers
{
    /** @param array<string, mixed> $settings  those of /etc/lamp.cluster/session.php */
    public static function make(array $settings): SaveHandler
    {
        return new SaveHandler(self::store($settings));
    }

    /** @param array<string, mixed> $settings */
    private static function store(array $settings): Store
    {
        $kind = $settings['handler'] ?? 'mysql';
        if ($kind === 'couchdb') {
            return new CouchDbSessionHandler(new CouchDbConnection($settings));
        }
        $wait = $settings['lock_timeout'] ?? 10;
        $class = $kind === 'mysql_variable' ? MysqlVariableSessionHandler::class : MysqlSessionHandler::class;
        $connection = new MysqlConnection($settings);
        $handler = new $class($connection, $settings['locking'] ?? 'none', $wait);
        return ($settings['former'] ?? []) === []
            ? $handler
            : new TakeOver(FormerTable::of($connection, $settings['former'], $wait), $handler);
    }
}
