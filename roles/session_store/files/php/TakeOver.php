<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// Works on the table of another handler as long as it is there, and then on the tables of this collection.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

/**
 * While web hosts are upgraded one after the other, both handlers see the same sessions. Once all are, one delta renames
 * the table, copies it, and drops it: from its first moment every host works on the new tables, so there is never more
 * than one truth.
 */
final class TakeOver extends Store
{
    /** Whether this request works on the former table. */
    private bool $former = false;

    /** Whether the former table could be asked. */
    private bool $asked = false;

    private ?string $text = null;

    /** @var array{string, string} */
    private array $opened = ['', ''];

    public function __construct(private readonly FormerTable $table, private readonly Store $next)
    {
    }

    public function open(string $path, string $name): bool
    {
        $this->opened = [$path, $name];
        $found = $this->attempt('find', fn (): bool => $this->table->inUse());
        $this->asked = $found !== null;
        $this->former = $found ?? true;
        return $this->next->open($path, $name);
    }

    public function close(): bool
    {
        return $this->next->close();
    }

    public function validateId(string $id): bool
    {
        $text = $this->current($id);
        if (!$this->former) {
            return $this->next->validateId($id);
        }
        return $this->isValid($id, fn (): ?bool => $this->asked ? $text !== null : null);
    }

    public function read(string $id): string
    {
        $this->text = $this->current($id);
        if ($this->text === null && $this->isDoubtful($id)) {
            $this->asked = false;
        }
        return $this->former ? $this->text ?? '' : $this->next->read($id);
    }

    public function write(string $id, string $data): bool
    {
        if (!$this->former) {
            return $this->next->write($id, $data);
        }
        if ($this->asked) {
            $this->attempt('write', fn () => $this->onEitherSide(
                fn () => $this->table->write($id, $data, $this->text, $this->ttl()),
                fn () => $this->carryOver($id, $data),
            ));
        }
        return true;
    }

    public function updateTimestamp(string $id, string $data): bool
    {
        if (!$this->former) {
            return $this->next->updateTimestamp($id, $data);
        }
        if ($this->text === null) {
            return $this->write($id, $data);
        }
        $this->attempt('touch', fn () => $this->onEitherSide(
            fn () => $this->table->touch($id, $this->ttl()),
            fn () => $this->carryOver($id, $data),
        ));
        return true;
    }

    public function destroy(string $id): bool
    {
        if (!$this->former) {
            return $this->next->destroy($id);
        }
        $this->attempt('destroy', fn () => $this->onEitherSide(
            fn () => $this->table->destroy($id),
            fn () => $this->next->destroy($id),
        ));
        return true;
    }

    public function gc(int $max_lifetime): int|false
    {
        return $this->former
            ? $this->attempt('clean up', fn (): int => $this->table->clean($max_lifetime)) ?? 0
            : $this->next->gc($max_lifetime);
    }

    /** The table may be taken over while a request runs. */
    private function onEitherSide(callable $there, callable $here): void
    {
        try {
            $there();
        } catch (\PDOException $problem) {
            if (!FormerTable::isGone($problem) || $this->table->inUse()) {
                throw $problem;
            }
            $here();
        }
    }

    /** What this request changed, on top of the session as it was taken over. */
    private function carryOver(string $id, string $data): void
    {
        if ($this->text !== null && !$this->next->validateId($id)) {
            return; // another request ended it
        }
        $this->next->open(...$this->opened);
        $theirs = $this->next->read($id);
        $this->next->write($id, Variables::merge($this->text ?? '', $data, $theirs));
    }

    /** The session in the former table, while that is in use. */
    private function current(string $id): ?string
    {
        if (!$this->former) {
            return null;
        }
        $found = $this->attempt('read', function () use ($id): array {
            $text = null;
            $this->onEitherSide(function () use ($id, &$text): void {
                $text = $this->table->read($id, $this->ttl());
            }, function (): void {
                $this->former = false;
            });
            return [$text];
        });
        $this->asked = $found !== null;
        return $found[0] ?? null;
    }
}
