<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// Another handler's table with one row per session.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

final class FormerSessions extends FormerTable
{
    public function read(string $id, int $ttl): ?string
    {
        $data = $this->send('SELECT {data} FROM {table} WHERE {id} = ? AND ' . $this->isLive($ttl), [$id])->fetchColumn();
        return $data === false ? null : (string) $data;
    }

    public function write(string $id, string $data, ?string $base, int $ttl): void
    {
        $stamp = $this->stamp($ttl);
        $change = "{data} = ?, {time} = $stamp";
        if ($base !== null) { // where another request ended it meanwhile, it stays ended
            $this->send("UPDATE {table} SET $change WHERE {id} = ?", [$data, $id]);
            return;
        }
        $this->send(
            "INSERT INTO {table} ({id}, {data}, {time}) VALUES (?, ?, $stamp) ON DUPLICATE KEY UPDATE $change",
            [$id, $data, $data],
        );
    }
}
