<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// Takes the text that PHP makes of a session apart into its variables, and puts it together again.

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
            try {
                return serialize(array_map(self::decode(...), $variables));
            } catch (UnexpectedValueException) {
                // PHP cannot read it either, says so, and lets the session begin anew: its user could not even log in.
            }
        }
        $text = '';
        foreach ($variables as $name => $value) {
            $text .= serialize($name) . $value;
        }
        return 'a:' . count($variables) . ':{' . $text . '}';
    }

    /**
     * $mine, with what somebody else changed since $base: a variable that $mine changed, added or removed is as $mine
     * has it, all others are as $theirs has them. Of texts that cannot be taken apart, $mine.
     */
    public static function merge(string $base, string $mine, string $theirs): string
    {
        try {
            [$before, $here, $there] = array_map(self::split(...), [$base, $mine, $theirs]);
        } catch (UnexpectedValueException) {
            return $mine;
        }
        $changed = array_diff_assoc($here, $before);
        return self::join($changed + array_diff_key($there, array_diff_key($before, $here)));
    }

    /** A text that session.serialize_handler = php wrote, or php_serialize, as php_serialize writes it. */
    public static function modern(string $text): string
    {
        if ($text === '' || self::isModern($text)) {
            return $text;
        }
        $variables = '';
        $count = 0;
        for ($place = 0; $place < strlen($text); ++$count) {
            $bar = strpos($text, '|', $place);
            if ($bar === false) {
                throw new UnexpectedValueException('a session that is no text of PHP\'s');
            }
            $end = $bar + 1;
            $value = self::value($text, $end);
            $variables .= serialize(substr($text, $place, $bar - $place)) . $value;
            $place = $end;
        }
        return "a:$count:{{$variables}}";
    }

    private static function isModern(string $text): bool
    {
        try {
            return preg_match('/^a:\d+:\{.*\}$/s', $text) === 1 && is_array(self::decode($text));
        } catch (UnexpectedValueException) {
            return false;
        }
    }

    /**
     * The serialized value at $place, which is moved to its end. What refers to the n-th value of the text now refers
     * to the one after it, because the array around all variables is the first.
     */
    private static function value(string $text, int &$place): string
    {
        $begin = $place;
        if (preg_match('/\G(?:N|[bid]:[^;]*);/', $text, $match, 0, $place)) {
            $place += strlen($match[0]);
        } elseif (preg_match('/\G([rR]):(\d+);/', $text, $match, 0, $place)) {
            $place += strlen($match[0]);
            return "$match[1]:" . ((int) $match[2] + 1) . ';';
        } elseif (preg_match('/\G[sE]:(\d+):"/', $text, $match, 0, $place)) {
            $place += strlen($match[0]) + (int) $match[1] + 2; // ";
        } elseif (preg_match('/\GC:\d+:"[^"]+":(\d+):\{/', $text, $match, 0, $place)) {
            $place += strlen($match[0]) + (int) $match[1] + 1; // }
        } elseif (preg_match('/\G(?:a|O:\d+:"[^"]+"):(\d+):\{/', $text, $match, 0, $place)) {
            $place += strlen($match[0]);
            $inside = $match[0];
            for ($part = 2 * (int) $match[1]; $part > 0; --$part) {
                $inside .= self::value($text, $place);
            }
            ++$place; // }
            return $inside . '}';
        } else {
            throw new UnexpectedValueException('a session that is no text of PHP\'s');
        }
        if ($place > strlen($text)) {
            throw new UnexpectedValueException('a session whose text is cut off');
        }
        return substr($text, $begin, $place - $begin);
    }

    /** Without waking objects up, where their form allows that. */
    private static function decode(string $text): mixed
    {
        try {
            $value = preg_match('/[CE]:\d+:"/', $text)
                ? unserialize($text)
                : unserialize($text, ['allowed_classes' => false]);
        } catch (\Throwable $problem) { // of a class that wakes up, and is not what it was
            throw new UnexpectedValueException($problem->getMessage(), 0, $problem);
        }
        if ($value === false && $text !== 'b:0;') {
            throw new UnexpectedValueException('a session that is no php_serialize text');
        }
        return $value;
    }
}
