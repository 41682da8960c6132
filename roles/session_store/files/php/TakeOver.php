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
    /** Whether this request works on the former table; null until that was asked. */
    private ?bool $former = null;

    private ?string $text = null;

    /** @var array{string, string} */
    private array $opened = ['', ''];

    public function __construct(private readonly FormerTable $table, private readonly Store $next)
    {
    }

    public function open(string $path, string $name, bool $goesOn): void
    {
        $this->opened = [$path, $name];
        $this->former = $goesOn ? $this->former : null;
        $this->next->open($path, $name, $goesOn);
    }

    public function close(): void
    {
        $this->next->close();
    }

    public function validateId(string $id): bool
    {
        $text = $this->current($id);
        return $this->former ? $text !== null : $this->next->validateId($id);
    }

    public function read(string $id): string
    {
        $this->text = null;
        $this->text = $this->current($id);
        return $this->former ? $this->text ?? '' : $this->next->read($id);
    }

    public function existed(): bool
    {
        return $this->former ? $this->text !== null : $this->next->existed();
    }

    public function write(string $id, string $data): void
    {
        if (!$this->isFormer()) {
            $this->next->write($id, $data);
            return;
        }
        $this->onEitherSide(
            fn () => $this->table->write($id, $data, $this->text, $this->ttl()),
            fn () => $this->carryOver($id, $data),
        );
    }

    public function updateTimestamp(string $id, string $data): void
    {
        if (!$this->isFormer()) {
            $this->next->updateTimestamp($id, $data);
        } elseif ($this->text === null) {
            $this->write($id, $data);
        } else {
            $this->onEitherSide(
                fn () => $this->table->touch($id, $this->ttl()),
                fn () => $this->carryOver($id, $data),
            );
        }
    }

    public function destroy(string $id): void
    {
        if (!$this->isFormer()) {
            $this->next->destroy($id);
            return;
        }
        $this->onEitherSide(fn () => $this->table->destroy($id), fn () => $this->next->destroy($id));
    }

    public function gc(int $max_lifetime): int
    {
        return $this->isFormer() ? $this->table->clean($max_lifetime) : $this->next->gc($max_lifetime);
    }

    protected function advice(\Throwable $problem): string
    {
        return $this->next->advice($problem);
    }

    private function isFormer(): bool
    {
        return $this->former ??= $this->table->inUse();
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
        $this->next->open(...$this->opened, goesOn: false);
        $theirs = $this->next->read($id);
        $this->next->write($id, Variables::merge($this->text ?? '', $data, $theirs));
    }

    /** The session in the former table, while that is in use. */
    private function current(string $id): ?string
    {
        $text = null;
        if ($this->isFormer()) {
            $this->onEitherSide(function () use ($id, &$text): void {
                $text = $this->table->read($id, $this->ttl());
            }, function (): void {
                $this->former = false;
            });
        }
        return $text;
    }
}
