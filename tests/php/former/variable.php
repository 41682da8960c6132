<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// A handler as people have them: one row per variable, without a key that makes them unique.

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
        $found = $this->pdo->prepare('SELECT `key`, value FROM `session values` WHERE session = ? AND until >= NOW()');
        $found->execute([$id]);
        return serialize(array_map('unserialize', $found->fetchAll(PDO::FETCH_KEY_PAIR)));
    }

    public function write(string $id, string $data): bool
    {
        foreach (unserialize($data) as $name => $value) {
            $change = $this->pdo->prepare(
                'UPDATE `session values` SET value = ?, until = NOW() + INTERVAL 1440 SECOND WHERE session = ? AND `key` = ?',
            );
            $change->execute([serialize($value), $id, $name]);
            $find = $this->pdo->prepare('SELECT COUNT(*) FROM `session values` WHERE session = ? AND `key` = ?');
            $find->execute([$id, $name]);
            if ((int) $find->fetchColumn() === 0) {
                $this->pdo->prepare('INSERT INTO `session values` VALUES (?, ?, ?, NOW() + INTERVAL 1440 SECOND)')
                    ->execute([$id, $name, serialize($value)]);
            }
        }
        return true;
    }

    public function destroy(string $id): bool
    {
        return $this->pdo->prepare('DELETE FROM `session values` WHERE session = ?')->execute([$id]);
    }

    public function gc(int $max_lifetime): int|false
    {
        return (int) $this->pdo->exec('DELETE FROM `session values` WHERE until < NOW()');
    }
}, true);
