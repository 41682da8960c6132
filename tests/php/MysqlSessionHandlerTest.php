<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Lamp\Cluster\Tests;

final class MysqlSessionHandlerTest extends MysqlTestCase
{
    protected const KIND = 'mysql';

    public function testOfTwoRequestsTheLastOneDecides(): void
    {
        $this->save(['a' => 0]);
        [$one, $two] = [$this->opened(), $this->opened()];
        $one->read(self::ID);
        $two->read(self::ID);
        $two->write(self::ID, serialize(['b' => 2]));
        $one->write(self::ID, serialize(['a' => 1]));
        self::assertSame(['a' => 1], $this->load());
    }
}
