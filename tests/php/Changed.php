<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// A class of a new release, which does not take what an older one left.

declare(strict_types=1);

namespace Lamp\Cluster\Tests;

final class Changed
{
    /** @param array<mixed> $data */
    public function __unserialize(array $data): void
    {
        throw new \DomainException('changed');
    }
}
