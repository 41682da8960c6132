<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// A store in memory that fails where a test wants it to.

declare(strict_types=1);

namespace Lamp\Cluster\Tests;

use Lamp\Cluster\Session\Store;

final class FailingStore extends Store
{
    /** @var array<string, string> */
    public array $sessions = [];

    /** @var list<string>  methods that throw */
    public array $fails = [];

    /** Another request ends the session before this one reads it, as one does that held a lock of it. */
    public bool $ends = false;

    /** @var list<string>  methods that were called */
    public array $asked = [];

    public function open(string $path, string $name, bool $goesOn): void
    {
        parent::open($path, $name, $goesOn);
        if (in_array('open', $this->fails, true)) {
            trigger_error('the connection is gone');
        }
    }

    private function ask(string $method): void
    {
        $this->asked[] = $method;
        if (in_array($method, $this->fails, true)) {
            throw new \RuntimeException($method);
        }
    }

    public function close(): void
    {
        $this->ask('close');
    }

    public function validateId(string $id): bool
    {
        $this->ask('validateId');
        return isset($this->sessions[$id]);
    }

    public function read(string $id): string
    {
        $this->ask('read');
        $this->sessions = $this->ends ? [] : $this->sessions;
        $this->remember(1, isset($this->sessions[$id]));
        return $this->sessions[$id] ?? '';
    }

    public function write(string $id, string $data): void
    {
        $this->ask('write');
        $this->sessions[$id] = $data;
    }

    public function updateTimestamp(string $id, string $data): void
    {
        $this->write($id, $data);
    }

    public function destroy(string $id): void
    {
        $this->ask('destroy');
        unset($this->sessions[$id]);
    }

    public function gc(int $max_lifetime): int
    {
        $this->ask('gc');
        return 0;
    }
}
