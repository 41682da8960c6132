<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Lamp\Cluster\Tests;

use Lamp\Cluster\Session\Handlers;
use Lamp\Cluster\Session\SaveHandler;

require_once __DIR__ . '/naps.php';

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
        $handler = $this->withFormerTable('sessions');
        $this->database->exec('ALTER TABLE sessions CHANGE data away BLOB NOT NULL');
        self::assertTrue($handler->validateId(self::ID));
        $this->database->exec('ALTER TABLE sessions CHANGE away data BLOB NOT NULL');
        self::assertSame('', $handler->read(self::ID));
        $handler->write(self::ID, 'a|i:1;');
        self::assertSame(0, (int) $this->database->query('SELECT COUNT(*) FROM sessions')->fetchColumn());
        $this->database->exec('DROP TABLE sessions');
    }

    public function testARequestWaitsOnceForATableThatIsBeingCopied(): void
    {
        $handler = $this->withFormerTable('lamp_session_former');
        $GLOBALS['slept'] = 0;
        self::assertTrue($handler->validateId(self::ID));
        self::assertSame('', $handler->read(self::ID));
        $this->database->exec('DROP TABLE lamp_session_former');
        self::assertSame(2, substr_count($this->errors(), 'still being copied'));
        self::assertGreaterThan(0, $GLOBALS['slept']);
        self::assertLessThan(1_100_000, $GLOBALS['slept']);
    }

    /** A handler that looks for another one's table, which has this name now. */
    private function withFormerTable(string $name): SaveHandler
    {
        $this->database->exec("CREATE TABLE $name (id VARCHAR(64) PRIMARY KEY, data BLOB NOT NULL, time INT NOT NULL)");
        $names = ['layout' => 'session', 'table' => 'sessions', 'id' => 'id', 'data' => 'data', 'time' => 'time',
            'time_is' => 'changed_unix'];
        $handler = Handlers::make(['former' => $names, 'lock_timeout' => 1] + $this->settings());
        $handler->open('', 'PHPSESSID');
        return $handler;
    }
}
