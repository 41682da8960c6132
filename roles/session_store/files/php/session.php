<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// Makes PHP keep its sessions in the shared store that /etc/lamp.cluster/session.php names.
// Put in front of an application by auto_prepend_file, or by one require before session_start().

declare(strict_types=1);

namespace Lamp\Cluster\Session;

require_once __DIR__ . '/MysqlConnection.php';
require_once __DIR__ . '/MysqlStore.php';
require_once __DIR__ . '/MysqlSessionHandler.php';
require_once __DIR__ . '/Variables.php';
require_once __DIR__ . '/MysqlVariableSessionHandler.php';

(static function (): void {
    $file = getenv('LAMP_SESSION_CONFIG') ?: '/etc/lamp.cluster/session.php';
    $settings = is_readable($file) ? require $file : null;
    if (!is_array($settings)) {
        error_log("lamp.cluster: $file cannot be read; sessions stay with the handler of php.ini");
        return;
    }
    $handler = MysqlSessionHandler::class;
    if (($settings['handler'] ?? 'mysql') === 'mysql_variable') {
        $handler = MysqlVariableSessionHandler::class;
        ini_set('session.serialize_handler', 'php_serialize');
    }
    session_set_save_handler(
        new $handler(
            new MysqlConnection($settings),
            $settings['locking'] ?? 'none',
            $settings['lock_timeout'] ?? 10,
        ),
        true,
    );
})();
