<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps PHP's sessions in a table that all web servers share: one row per session.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

final class MysqlSessionHandler extends MysqlStore
{
    public function read(string $id): string
    {
        $row = $this->locked($id, fn (): array => $this->current($id));
        $this->remember((int) $row['epoch'], $row['id'] !== null);
        return $this->existed ? $row['data'] : '';
    }

    public function write(string $id, string $data): void
    {
        $this->change(fn () => $this->existed ? $this->update($id, $data) : $this->insert($id, $data));
    }

    public function destroy(string $id): void
    {
        $this->change(fn () => $this->connection->run('DELETE FROM lamp_session WHERE id = ?', [$this->key($id)]));
    }

    /** Another request may have ended the session meanwhile: then this changes nothing. */
    private function update(string $id, string $data): void
    {
        $sql = 'UPDATE lamp_session SET data = ?, updated_at = UNIX_TIMESTAMP(), expires_at = UNIX_TIMESTAMP() + ?'
            . ' WHERE id = ? AND epoch = ?';
        $this->connection->run($sql, [$data, $this->ttl(), $this->key($id), $this->epoch]);
    }

    private function insert(string $id, string $data): void
    {
        $sql = 'INSERT INTO lamp_session (id, data, epoch, created_at, updated_at, expires_at)'
            . ' VALUES (?, ?, ?, UNIX_TIMESTAMP(), UNIX_TIMESTAMP(), UNIX_TIMESTAMP() + ?) ON DUPLICATE KEY UPDATE'
            . ' data = IF(epoch <= VALUES(epoch), VALUES(data), data), updated_at = VALUES(updated_at),'
            . ' expires_at = VALUES(expires_at), epoch = GREATEST(epoch, VALUES(epoch))';
        $this->connection->run($sql, [$this->key($id), $data, $this->epoch, $this->ttl()]);
    }
}
