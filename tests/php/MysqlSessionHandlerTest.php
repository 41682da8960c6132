<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Lamp\Cluster\Tests;

use Lamp\Cluster\Session\Handlers;

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

    public function testAnIdThatTheFormerTableCouldNotTellOfIsNotTaken(): void
    {
        $this->database->exec('CREATE TABLE sessions (id VARCHAR(64) PRIMARY KEY, data BLOB NOT NULL, time INT NOT NULL)');
        $names = ['layout' => 'session', 'table' => 'sessions', 'id' => 'id', 'data' => 'data', 'time' => 'time',
            'time_is' => 'changed_unix'];
        $handler = Handlers::make(['former' => $names] + $this->settings());
        $handler->open('', 'PHPSESSID');
        $this->database->exec('ALTER TABLE sessions CHANGE data away BLOB NOT NULL');
        self::assertTrue($handler->validateId(self::ID));
        $this->database->exec('ALTER TABLE sessions CHANGE away data BLOB NOT NULL');
        self::assertSame('', $handler->read(self::ID));
        $handler->write(self::ID, 'a|i:1;');
        self::assertSame(0, (int) $this->database->query('SELECT COUNT(*) FROM sessions')->fetchColumn());
        $this->database->exec('DROP TABLE sessions');
    }
}
