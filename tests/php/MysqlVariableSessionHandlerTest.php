<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Lamp\Cluster\Tests;

use Lamp\Cluster\Session\Handlers;
use PHPUnit\Framework\Attributes\DataProvider;

final class MysqlVariableSessionHandlerTest extends MysqlTestCase
{
    protected const KIND = 'mysql_variable';

    public function testRequestsKeepWhatTheOtherChanged(): void
    {
        $this->save(['a' => 0, 'b' => 0, 'c' => 0]);
        [$one, $two] = [$this->opened(), $this->opened()];
        $one->read(self::ID);
        $two->read(self::ID);
        $two->write(self::ID, serialize(['a' => 0, 'b' => 2]));
        $one->write(self::ID, serialize(['a' => 1, 'b' => 0, 'c' => 0, 'd' => 4]));
        self::assertEquals(['a' => 1, 'b' => 2, 'd' => 4], $this->load());
    }

    public function testARequestWritesOnlyWhatItChanged(): void
    {
        $this->save(['small' => 0, 'large' => str_repeat('x', 1 << 20)]);
        $this->database->exec('UPDATE lamp_session_variable SET updated_at = 1');
        $this->save(['small' => 1, 'large' => str_repeat('x', 1 << 20)]);
        $written = $this->database->query('SELECT name FROM lamp_session_variable WHERE updated_at > 1');
        self::assertSame(['small'], $written->fetchAll(\PDO::FETCH_COLUMN));
    }

    public function testASessionOfTheOtherHandlerIsTakenApart(): void
    {
        ini_set('session.serialize_handler', 'php');
        $former = Handlers::make(['handler' => 'mysql'] + $this->settings());
        $former->open('', 'PHPSESSID');
        $former->read(self::ID);
        $former->write(self::ID, 'a|i:1;b|a:1:{s:1:"c";s:3:"d|e";}');
        ini_set('session.serialize_handler', 'php_serialize');
        self::assertEquals(['a' => 1, 'b' => ['c' => 'd|e']], $this->load());
        $this->save(['a' => 2, 'b' => ['c' => 'd|e']]);
        self::assertEquals(['a' => 2, 'b' => ['c' => 'd|e']], $this->load());
        self::assertSame('', $this->errors());
    }

    public function testWhatWasRemovedDoesNotComeBackWithARequestThatSawTheSessionBeforeItWasTakenApart(): void
    {
        $former = Handlers::make(['handler' => 'mysql'] + $this->settings());
        $former->open('', 'PHPSESSID');
        $former->read(self::ID);
        $former->write(self::ID, serialize(['user' => 1, 'cart' => 2]));
        $late = $this->opened();
        self::assertTrue($late->validateId(self::ID));
        $this->load();
        $this->save(['cart' => 2]);
        self::assertSame(['cart' => 2], unserialize($late->read(self::ID)));
        self::assertSame(['cart' => 2], $this->load());
        self::assertSame('', $this->errors());
    }

    public function testARequestThatWritesMakesTheSessionYoungAndOneThatOnlyReadsDoesNot(): void
    {
        $this->save(['a' => 1, 'b' => 2]);
        foreach ([[['a' => 1, 'b' => 2], false], [['a' => 2, 'b' => 2], true], [['a' => 2], true]] as [$variables, $young]) {
            $this->database->exec('UPDATE lamp_session SET updated_at = 1');
            $this->save($variables);
            $now = $this->database->query('SELECT updated_at > 1 FROM lamp_session')->fetchColumn();
            self::assertSame($young, (bool) $now);
        }
    }

    public function testASessionOfAnotherHandlersTableThatWasEndedMeanwhileStaysEnded(): void
    {
        $this->database->exec('CREATE TABLE variables (id VARCHAR(64), name VARCHAR(64), value BLOB, time INT)');
        $names = ['layout' => 'variable', 'table' => 'variables', 'id' => 'id', 'name' => 'name', 'value' => 'value',
            'time' => 'time', 'time_is' => 'changed_unix'];
        $stored = [];
        $request = function (array $variables, ?string $meanwhile = null) use ($names, &$stored): void {
            $handler = Handlers::make(['former' => $names] + $this->settings());
            $handler->open('', 'PHPSESSID');
            $handler->read(self::ID);
            $this->database->exec($meanwhile ?? 'DO 0');
            $handler->write(self::ID, serialize($variables));
            $stored[] = $this->database->query('SELECT name FROM variables ORDER BY name')->fetchAll(\PDO::FETCH_COLUMN);
        };
        $request(['user' => 1]);
        $request(['user' => 1, 'a' => 1], 'UPDATE variables SET time = time - 1');
        $request(['user' => 1, 'a' => 2, 'b' => 2], 'DELETE FROM variables');
        $this->database->exec('DROP TABLE variables');
        self::assertSame([['user'], ['a', 'user'], []], $stored);
        self::assertSame('', $this->errors());
    }

    public static function lockings(): iterable
    {
        yield ['none'];
        yield ['row'];
    }

    /** @dataProvider lockings */
    #[DataProvider('lockings')]
    public function testWhatDoesNotFitStaysAsItWasAndAllElseIsDone(string $locking): void
    {
        $this->save(['large' => 0, 'gone' => 0, 'a' => 0]);
        $this->database->exec('UPDATE lamp_session SET expires_at = UNIX_TIMESTAMP() + 10');
        $packet = $this->database->query('SELECT @@global.max_allowed_packet')->fetchColumn();
        $this->database->exec('SET GLOBAL max_allowed_packet = 4194304');
        try {
            $handler = Handlers::make(['locking' => $locking] + $this->settings());
            $handler->open('', 'PHPSESSID');
            $handler->read(self::ID);
            $handler->write(self::ID, serialize(
                ['large' => str_repeat('x', 5 << 20), 'a' => 1, str_repeat('n', 1 << 17) => 2, 'b' => 3],
            ));
            $handler->close();
        } finally {
            $this->database->exec("SET GLOBAL max_allowed_packet = $packet");
        }
        self::assertEquals(['large' => 0, 'a' => 1, 'b' => 3], $this->load());
        $left = $this->database->query('SELECT expires_at - UNIX_TIMESTAMP() FROM lamp_session')->fetchColumn();
        self::assertGreaterThan(900, (int) $left);
        self::assertStringContainsString('max_allowed_packet', $this->errors());
    }

    public function testWhatAPurgeLeftDoesNotComeBackWithItsId(): void
    {
        $this->save(['secret' => 1]);
        $this->database->exec('TRUNCATE lamp_session');
        $this->save(['public' => 1]);
        self::assertSame(['public' => 1], $this->load());
    }

    public function testOtherSerializersAreRefused(): void
    {
        $handler = $this->opened();
        ini_set('session.serialize_handler', 'php');
        self::assertSame('', $handler->read(self::ID));
        self::assertStringContainsString('session.serialize_handler = php_serialize', $this->errors());
    }

    public function testVariablesThatTogetherAreLargerThanAPacket(): void
    {
        $packet = $this->database->query('SELECT @@global.max_allowed_packet')->fetchColumn();
        $this->database->exec('SET GLOBAL max_allowed_packet = 4194304');
        try {
            $large = ['a' => str_repeat('x', 3 << 20), 'b' => str_repeat('y', 3 << 20)];
            $this->save($large);
            self::assertEquals($large, $this->load());
        } finally {
            $this->database->exec("SET GLOBAL max_allowed_packet = $packet");
        }
        self::assertSame('', $this->errors());
    }

    public function testUsingASessionKeepsItAliveWhateverIsDoneToIt(): void
    {
        foreach ([['a' => 1], ['b' => 2], []] as $variables) {
            $this->save(['a' => 1, 'b' => 2]);
            $this->database->exec('UPDATE lamp_session SET expires_at = UNIX_TIMESTAMP() + 10');
            $this->save($variables);
            $left = $this->database->query('SELECT expires_at - UNIX_TIMESTAMP() FROM lamp_session')->fetchColumn();
            self::assertGreaterThan(900, (int) $left);
        }
    }

    public function testASessionOfTheOtherHandlerThatNobodyUnderstandsIsLeftBehind(): void
    {
        $former = Handlers::make(['handler' => 'mysql'] + $this->settings());
        $former->open('', 'PHPSESSID');
        $former->read(self::ID);
        $former->write(self::ID, "\x01ai:1;");
        $this->save(['b' => 2]);
        self::assertSame(['b' => 2], $this->load());
        self::assertStringContainsString('left behind', $this->errors());
    }
}
