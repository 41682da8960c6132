<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// Takes the text that PHP makes of a session (php_serialize) apart into its variables, and puts it together again.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

use UnexpectedValueException;

/** Each variable stands alone: an object that two variables share becomes two equal objects. */
final class Variables
{
    /** @return array<string, string> */
    public static function split(string $data): array
    {
        return $data === '' ? [] : array_map(serialize(...), self::decode($data));
    }

    /** @param array<string, string> $variables */
    public static function join(array $variables): string
    {
        if ($variables === []) {
            return '';
        }
        // References count values from the start of the text: they must be made anew.
        if (preg_grep('/[rR]:\d+;/', $variables)) {
            return serialize(array_map(self::decode(...), $variables));
        }
        $text = '';
        foreach ($variables as $name => $value) {
            $text .= serialize($name) . $value;
        }
        return 'a:' . count($variables) . ':{' . $text . '}';
    }

    /** Without waking objects up, where their form allows that. */
    private static function decode(string $text): mixed
    {
        $value = preg_match('/[CE]:\d+:"/', $text)
            ? unserialize($text)
            : unserialize($text, ['allowed_classes' => false]);
        if ($value === false && $text !== 'b:0;') {
            throw new UnexpectedValueException('a session that is no php_serialize text');
        }
        return $value;
    }
}
