<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// Another handler's table with one row per variable, which need not have a key that makes them unique.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

final class FormerVariables extends FormerTable
{
    public function read(string $id, int $ttl): ?string
    {
        $rows = $this->send(
            'SELECT {name}, {value}, ' . $this->isLive($ttl) . ' FROM {table} WHERE {id} = ? ORDER BY {time}',
            [$id],
        )->fetchAll(\PDO::FETCH_NUM);
        if (array_sum(array_column($rows, 2)) === 0) {
            return null;
        }
        $variables = array_column($rows, 1, 0); // of two rows of one variable the later one
        foreach ($rows as [$name, $value]) {
            if ($value !== $variables[$name]) { // once their times are renewed, nobody could tell any more
                $this->set($id, (string) $name, $variables[$name]);
            }
        }
        return Variables::join($variables);
    }

    public function write(string $id, string $data, ?string $base, int $ttl): void
    {
        [$now, $before] = [Variables::split($data), Variables::split($base ?? '')];
        // Where another request ended the session meanwhile, it stays ended.
        [$if, $also] = $base === null ? ['', []] : [' AND EXISTS (SELECT 1 FROM {table} WHERE {id} = ?)', [$id]];
        foreach (array_diff_assoc($now, $before) as $name => $value) {
            $this->set($id, (string) $name, $value);
            // A row that had this value already counts as not changed: where it is, none is added.
            $this->send(
                'INSERT INTO {table} ({id}, {name}, {value}, {time}) SELECT ?, ?, ?, ' . $this->stamp($ttl)
                . " FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {id} = ? AND {name} = ?)$if",
                [$id, (string) $name, $value, $id, (string) $name, ...$also],
            );
        }
        foreach (array_keys(array_diff_key($before, $now)) as $name) {
            $this->send('DELETE FROM {table} WHERE {id} = ? AND {name} = ?', [$id, (string) $name]);
        }
        $this->touch($id, $ttl);
    }

    private function set(string $id, string $name, string $value): void
    {
        $this->send('UPDATE {table} SET {value} = ? WHERE {id} = ? AND {name} = ?', [$value, $id, $name]);
    }
}
