<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// Makes PHP keep its sessions in the shared store that /etc/lamp.cluster/session.php names.
// Put in front of an application by auto_prepend_file, or by one require before session_start().

declare(strict_types=1);

namespace Lamp\Cluster\Session;

spl_autoload_register(static function (string $class): void {
    if (str_starts_with($class, __NAMESPACE__ . '\\')) {
        require_once __DIR__ . '/' . substr($class, strlen(__NAMESPACE__) + 1) . '.php';
    }
});

(static function (): void {
    $file = getenv('LAMP_SESSION_CONFIG') ?: '/etc/lamp.cluster/session.php';
    // Outside of an open_basedir PHP would say so on the page.
    $settings = @is_readable($file) ? require $file : null;
    if (!is_array($settings)) {
        error_log("lamp.cluster: $file cannot be read; sessions stay with the handler of php.ini");
        return;
    }
    if (session_status() === PHP_SESSION_ACTIVE || headers_sent()) {
        error_log('lamp.cluster: the handler comes too late; require it before session_start() and before any output');
        return;
    }
    if (($settings['handler'] ?? 'mysql') !== 'mysql') {
        ini_set('session.serialize_handler', 'php_serialize'); // the others work on single variables
    }
    session_set_save_handler(Handlers::make($settings), true);
})();
