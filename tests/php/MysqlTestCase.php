<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// A MariaDB with the tables of the delta set, emptied for each test.

declare(strict_types=1);

namespace Lamp\Cluster\Tests;

use Lamp\Cluster\Session\Handlers;
use Lamp\Cluster\Session\SaveHandler;
use PDO;

abstract class MysqlTestCase extends HandlerTestCase
{
    protected const KIND = '';

    protected PDO $database;

    protected function setUp(): void
    {
        parent::setUp();
        $this->database = new PDO(
            'mysql:host=127.0.0.1;port=' . getenv('LAMP_MYSQL_PORT') . ';dbname=' . getenv('LAMP_MYSQL_DATABASE'),
            'root',
            (string) getenv('LAMP_MYSQL_PASSWORD'),
        );
        $this->database->exec('TRUNCATE lamp_session');
        $this->database->exec('TRUNCATE lamp_session_variable');
    }

    /** @return array<string, mixed> */
    protected function settings(): array
    {
        return [
            'handler' => static::KIND,
            'servers' => [['host' => '127.0.0.1', 'port' => (int) getenv('LAMP_MYSQL_PORT')]],
            'database' => getenv('LAMP_MYSQL_DATABASE'),
            'user' => 'root',
            'password' => getenv('LAMP_MYSQL_PASSWORD'),
        ];
    }

    protected function handler(): SaveHandler
    {
        return Handlers::make($this->settings());
    }

    protected function deadHandler(): SaveHandler
    {
        return Handlers::make(['servers' => [['host' => '127.0.0.1', 'port' => 1]]] + $this->settings());
    }

    protected function purge(): void
    {
        $this->database->exec('UPDATE lamp_session_epoch SET epoch = epoch + 1');
    }

    protected function expire(): void
    {
        $this->database->exec('UPDATE lamp_session SET expires_at = UNIX_TIMESTAMP() - 1');
    }

    protected function outage(bool $begins): void
    {
        $this->database->exec('RENAME TABLE ' . ($begins ? 'lamp_session_epoch TO away' : 'away TO lamp_session_epoch'));
    }

    protected function stored(): int
    {
        return (int) $this->database->query('SELECT COUNT(*) FROM lamp_session')->fetchColumn();
    }

    protected function content(): string
    {
        $sessions = $this->database->query('SELECT * FROM lamp_session')->fetchAll(PDO::FETCH_ASSOC);
        $variables = $this->database->query('SELECT * FROM lamp_session_variable')->fetchAll(PDO::FETCH_ASSOC);
        return print_r([$sessions, $variables], true);
    }

    protected function variables(): int
    {
        return (int) $this->database->query('SELECT COUNT(*) FROM lamp_session_variable')->fetchColumn();
    }

    public function testCleaningUpLeavesNoVariableWithoutItsSession(): void
    {
        $this->database->exec('INSERT INTO lamp_session_variable WITH RECURSIVE seq AS (SELECT 1 AS n UNION ALL'
            . ' SELECT n + 1 FROM seq WHERE n < 400)'
            . " SELECT UNHEX(SHA2(n, 256)), UNHEX(SHA2(n % 3, 256)), 'n', 'i:1;', 1 FROM seq");
        $this->save(['a' => 1]);
        $before = $this->content();
        $this->opened()->gc(1000);
        self::assertSame(static::KIND === 'mysql' ? 0 : 1, $this->variables());
        self::assertSame(['a' => 1], $this->load());
        self::assertNotSame($before, $this->content());
    }

    public function testALostConnectionIsMadeAgain(): void
    {
        $this->save(['a' => 1]);
        $handler = $this->opened();
        $text = $handler->read(self::ID);
        $this->killHandlers();
        $handler->write(self::ID, serialize(['a' => 2]));
        self::assertNotSame('', $text);
        self::assertSame(['a' => 2], $this->load());
        self::assertSame('', $this->errors());
    }

    /** As session_reset() has it, which closes nothing before it begins again. */
    public function testAConnectionThatIsLostWithALockIsMadeAgainToLookUpAnId(): void
    {
        $handler = Handlers::make(['locking' => 'row'] + $this->settings());
        foreach (['reading', 'reading again'] as $_time) {
            $handler->open('', 'PHPSESSID');
            self::assertFalse($handler->validateId(self::ID));
            $handler->read(self::ID);
            $this->killHandlers();
        }
        self::assertSame('', $this->errors());
    }

    public function testAServerThatCommitsNothingByItself(): void
    {
        $this->database->exec('SET GLOBAL autocommit = 0');
        try {
            $this->save(['a' => 1]);
            self::assertSame(['a' => 1], $this->load());
        } finally {
            $this->database->exec('SET GLOBAL autocommit = 1');
        }
    }

    /** End the connections that were made after that of the test. */
    private function killHandlers(): void
    {
        $own = (int) $this->database->query('SELECT CONNECTION_ID()')->fetchColumn();
        for ($number = $own + 1; $number < $own + 20; ++$number) { // connections are numbered as they come
            try {
                $this->database->exec("KILL $number");
            } catch (\PDOException) {
                continue; // it is not there any more
            }
        }
    }
}
