<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// What every page needs: headers that say who answered, the database, the session, escaped output.

declare(strict_types=1);

namespace Shop;

use PDO;
use Throwable;

const DEFAULT_CONFIG = '/etc/shop/config.php';

/** The label that the developers gave this release: v1, v2 … */
function version(): string
{
    return require __DIR__ . '/version.php';
}

/** The name of the folder that this release was deployed to, symbolic links resolved. */
function release(): string
{
    return basename((string) realpath(dirname(__DIR__)));
}

function host(): string
{
    return (string) gethostname();
}

/** Every response names the release and the web host that made it; a failure is logged and shown as a plain 500. */
function boot(): void
{
    header('X-Release: ' . version());
    header('X-Host: ' . host());
    header('Cache-Control: no-store');
    set_exception_handler(function (Throwable $problem): void {
        error_log((string) $problem);
        http_response_code(500);
        header('Content-Type: text/plain; charset=utf-8');
        echo 'The shop ', version(), " cannot answer: its log says why.\n";
    });
}

function database(): PDO
{
    static $connection = null;
    if ($connection === null) {
        $config = require (getenv('SHOP_CONFIG') ?: DEFAULT_CONFIG);
        $dsn = sprintf(
            'mysql:host=%s;port=%d;dbname=%s;charset=utf8mb4',
            $config['db_host'],
            $config['db_port'],
            $config['db_name'],
        );
        $connection = new PDO($dsn, $config['db_user'], $config['db_password'], [
            PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
            PDO::ATTR_EMULATE_PREPARES => false,
            PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
        ]);
    }
    return $connection;
}

/** @return list<array<string, mixed>> */
function rows(string $sql, array $values = []): array
{
    $statement = database()->prepare($sql);
    $statement->execute($values);
    return $statement->fetchAll();
}

/** Where sessions are kept is the web host's business (auto_prepend_file), not the application's. */
function session(): void
{
    session_start([
        'use_strict_mode' => true,
        'cookie_httponly' => true,
        'cookie_samesite' => 'Lax',
    ]);
}

/** Count this request in the session and remember who answered it. */
function count_visit(): int
{
    $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
    $_SESSION['hosts'][host()] = ($_SESSION['hosts'][host()] ?? 0) + 1;
    return $_SESSION['count'];
}

function redirect(string $to): never
{
    header('Location: ' . $to, true, 303);
    exit;
}

/** @param array<string, mixed> $data */
function json(array $data): void
{
    header('Content-Type: application/json');
    echo json_encode($data, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES), "\n";
}

function e(string|int|float $text): string
{
    return htmlspecialchars((string) $text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

function price(int $cents): string
{
    return number_format($cents / 100, 2, '.', ' ') . ' €';
}
