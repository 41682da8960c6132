<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// What all stores have in common: how ids are stored, epoch, expiry.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

/**
 * Does what PHP asks a save handler for, and throws where it cannot: SaveHandler stands in front of it.
 *
 * A request writes with the epoch that it read. Once the epoch was raised, by a purge, what it writes does not count.
 */
abstract class Store
{
    /** The epoch that the request works with; null while nothing was read. */
    protected ?int $epoch = null;

    /** Whether the session was there when it was read: if so, and it is gone when it is written, it stays gone. */
    protected bool $existed = false;

    /** @param bool $goesOn  with a new id for the session: what the request holds is as old as before */
    public function open(string $path, string $name, bool $goesOn): void
    {
        $this->existed = false;
        if (!$goesOn) {
            $this->epoch = null;
        }
    }

    abstract public function close(): void;

    abstract public function validateId(string $id): bool;

    /** Where this fails for a new id, write() begins a session all the same. */
    abstract public function read(string $id): string;

    abstract public function write(string $id, string $data): void;

    abstract public function updateTimestamp(string $id, string $data): void;

    abstract public function destroy(string $id): void;

    abstract public function gc(int $max_lifetime): int;

    /** Whether there was such a session when it was read. */
    public function existed(): bool
    {
        return $this->existed;
    }

    public function complain(string $verb, \Throwable $problem): void
    {
        error_log("lamp.cluster: could not $verb a session: " . $problem->getMessage() . $this->advice($problem));
    }

    /** Take over what was found; the epoch of a request never rises while its session goes on. */
    protected function remember(int $epoch, bool $existed): void
    {
        $this->epoch = min($this->epoch ?? $epoch, $epoch);
        $this->existed = $existed && $this->epoch === $epoch;
    }

    /** What stands for an id in the store. */
    protected function key(string $id): string
    {
        return hash('sha256', $id, true);
    }

    protected function ttl(): int
    {
        return max(1, min(0x7fffffff, (int) ini_get('session.gc_maxlifetime'))); // times have 32 bits in tables
    }

    /** What works on single variables needs a text that can be taken apart. */
    protected function requireSerializer(): void
    {
        if (ini_get('session.serialize_handler') !== 'php_serialize') {
            throw new \UnexpectedValueException('this handler needs session.serialize_handler = php_serialize');
        }
    }

    /** What to do about it, for the log. */
    protected function advice(\Throwable $problem): string
    {
        return '';
    }
}
