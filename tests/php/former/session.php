<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// A handler as people have them: one row per session, with column names of its own.

declare(strict_types=1);

require __DIR__ . '/connect.php';

session_set_save_handler(new class () implements SessionHandlerInterface {
    private PDO $pdo;

    public function open(string $path, string $name): bool
    {
        $this->pdo = former_database();
        return true;
    }

    public function close(): bool
    {
        return true;
    }

    public function read(string $id): string
    {
        $found = $this->pdo->prepare('SELECT sess_data FROM sessions WHERE sess_key = ?');
        $found->execute([$id]);
        return (string) $found->fetchColumn();
    }

    public function write(string $id, string $data): bool
    {
        $sql = 'REPLACE INTO sessions (sess_key, sess_data, last_change) VALUES (?, ?, ?)';
        return $this->pdo->prepare($sql)->execute([$id, $data, time()]);
    }

    public function destroy(string $id): bool
    {
        return $this->pdo->prepare('DELETE FROM sessions WHERE sess_key = ?')->execute([$id]);
    }

    public function gc(int $max_lifetime): int|false
    {
        return (int) $this->pdo->exec('DELETE FROM sessions WHERE last_change < ' . (time() - $max_lifetime));
    }
}, true);
