# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Split a script into the statements that the ``mariadb`` client would send.

The client reads line by line and knows strings, comments and its own commands, but no SQL; so does this. Beyond the
client, the bodies of routines, triggers and events may do without DELIMITER, and where DELIMITER lets several
statements through at once they are told apart, as the server does. What only the client could do (``source``, ``\\!``)
is refused.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.body import Body, body_of
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import Statement
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

# Commands by name, and whether they take an argument; without one they are a command only when alone.
COMMANDS = {
    "?": True, "charset": True, "clear": False, "connect": True, "costs": False, "edit": False, "ego": False,
    "exit": False, "go": False, "help": True, "nopager": False, "notee": False, "nowarning": False, "pager": True,
    "print": False, "prompt": True, "quit": False, "rehash": False, "resetconnection": False, "sandbox": False,
    "source": True, "ssl_session_data_print": True, "status": False, "system": True, "tee": True,
    "warnings": False, "query_attributes": True,
}  # fmt: skip
MARKS = frozenset("-#/")  # what a line begins with that may be the tag, or the marker of the undo part
LONGEST_DELIMITER = 15
STOPS = re.escape("\\'\"`#-/*;")  # characters that may mean more than themselves
PLAIN = {";": re.compile(f"[^{STOPS}]+")}  # runs of others, by what the delimiter begins with
LONGEST_COMMAND = 40  # characters of a statement among which a command of the client is looked for
SPACE = " \t\n\v\f\r"
TRAILING = "".join(chr(code) for code in range(33)) + "\x7f"  # what the client cuts off the end of a statement
UNDO = re.compile(r"[ \t]*--[ \t]*(?://)?[ \t]*@UNDO[ \t]*", re.IGNORECASE)
TAG = re.compile(r"[ \t]*--[ \t]*@DROP-SESSIONS[ \t]*", re.IGNORECASE)
NEARLY_UNDO = re.compile(r"[ \t]*(--|#|/\*)[ \t]*(//[ \t]*@?|@)UNDO\b", re.IGNORECASE)
NEARLY_TAG = re.compile(r"[ \t]*(--|#|/\*)[ \t]*@DROP[ \t_-]*SESSIONS?\b", re.IGNORECASE)
MODE_WORDS = re.compile(r"\bsql_mode\b", re.IGNORECASE)
ASSIGNMENT = re.compile(
    r"(@?@?[\w.]+)\s*:?=\s*(CONCAT\s*\([^)]*\)|REPLACE\s*\([^)]*\)|'[^']*'|\"[^\"]*\"|@?@?[\w.]+)", re.IGNORECASE
)
ANSI = frozenset(["ANSI", "ANSI_QUOTES", "ORACLE", "MSSQL", "DB2", "MAXDB", "POSTGRESQL"])


class Dialect:
    """How the server reads text: the modes of ``sql_mode`` that matter here, and whether ``/*+ */`` is a hint.

    ``recoded``: the text is sent in UTF-8, and its file has another encoding.
    """

    def __init__(self, sql_mode: str = "", hints: bool = False, *, recoded: bool = False) -> None:
        self.variables: dict[str, frozenset[str]] = {}
        self.recoded = recoded
        self.learn(sql_mode, hints)

    def learn(self, sql_mode: str, hints: bool) -> None:
        """What the server says of itself."""
        self.default = self.modes = _modes(sql_mode)
        self.hints = hints

    def fresh(self) -> Dialect:
        """The same, as it is when a session begins."""
        copy = Dialect.__new__(Dialect)
        copy.variables, copy.hints, copy.recoded = {}, self.hints, self.recoded
        copy.default = copy.modes = self.default
        return copy

    def escapes(self, quote: str) -> bool:
        """Whether a backslash in a string with this quote (empty: outside of strings) escapes what follows."""
        if quote == "`" or (quote == '"' and self.modes & ANSI):
            return False
        return not quote or "NO_BACKSLASH_ESCAPES" not in self.modes

    def follow(self, statement: Statement) -> None:
        """Take note of a SET of ``sql_mode``, also of dumps, which keep the old one in a variable."""
        if not statement.setting or not MODE_WORDS.search(statement.text):
            return
        for name, value in ASSIGNMENT.findall(statement.code):
            modes = self._value(value)
            if name.lower().split(".")[-1].lstrip("@") == "sql_mode":
                self.modes = modes
            elif name[0] == "@":
                self.variables[name.lower()] = modes

    def _value(self, value: str) -> frozenset[str]:
        named, lower = _modes(value), value.lower()
        if lower.startswith("concat"):
            return self.modes | named
        if lower.startswith("replace"):
            return self.modes - named
        if lower.startswith("@@"):
            return self.modes
        if lower == "default":
            return self.default
        return self.variables.get(lower, frozenset()) if lower.startswith("@") else named


def _modes(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.upper()))


class Parts:
    """A script in its parts: statements before and after the undo marker, and whether the tag stands in the first."""

    def __init__(self) -> None:
        self.do: list[Statement] = []
        self.undo: list[Statement] = []
        self.tagged = False


class Splitter:
    """Reads one script; ``name`` is the file's, for messages."""

    def __init__(self, text: str, name: str, dialect: Dialect) -> None:
        self.lines = text[text[:1] == "\ufeff" :].replace("\r\n", "\n").split("\n")
        self.name = name
        self.default = dialect
        self.parts = Parts()
        self.restart(self.parts.do)

    def restart(self, statements: list[Statement]) -> None:
        """Begin a script of its own."""
        self.statements = statements
        self.dialect = self.default.fresh()
        self.quote = ""
        self.comment = False
        self.set_delimiter(";")
        self.begin()

    def set_delimiter(self, delimiter: str) -> None:
        """What ends a statement from now on."""
        self.delimiter = delimiter
        first = delimiter[0]
        if first not in PLAIN:
            PLAIN[first] = re.compile(f"[^{STOPS}{re.escape(first)}]+")
        self.plain = PLAIN[first]

    def begin(self) -> None:
        """Start to collect the next statement."""
        self.out: list[str] = []
        self.started = 0
        self.body: Body | None = None
        self.fed = 0

    def split(self) -> Parts:
        """All parts."""
        last = len(self.lines) - 1
        for number, line in enumerate(self.lines, 1):
            self.number = number
            if not self.quote and not self.comment and line.lstrip()[:1] in MARKS and self.marker(line):
                continue
            if not self.out and not self.quote and not self.comment and self.command_line(line):
                continue
            self.read_line(line, number <= last)
        self.finish()
        return self.parts

    def marker(self, line: str) -> bool:
        """Whether ``line`` is the marker of the undo part; the tag is noted, and what is nearly one of them refused."""
        do = self.statements is self.parts.do
        if do and UNDO.fullmatch(line):
            self.finish()
            self.restart(self.parts.undo)
            return True
        if do and TAG.fullmatch(line):
            self.parts.tagged = True
        elif do and NEARLY_UNDO.match(line):
            self.refuse_marker(line.strip())
        elif NEARLY_TAG.match(line):
            self.refuse_tag(line.strip())
        return False

    def command_line(self, line: str) -> bool:
        """Obey DELIMITER; refuse a line that the client would take as another command of its own."""
        stripped = line.lstrip(SPACE)
        if stripped[:9].lower() == "delimiter" and (len(stripped) == 9 or stripped[9] in SPACE):
            self.set_delimiter(self.argument(stripped[9:]))
            return True
        if stripped and "\\g" not in stripped and self.delimiter not in stripped:
            self.refuse_command(stripped)
        return False

    def argument(self, text: str) -> str:
        """The new delimiter as the client cuts it out of its line."""
        text = text.lstrip(SPACE)
        quote = text[:1] if text[:1] in ("'", '"', "`") else ""
        end = text.find(quote or " ", len(quote))
        value = text[len(quote) : end if end >= 0 else None]
        if not value or "\\" in value or (quote and end < 0):
            self.refuse("DELIMITER without a usable delimiter")
        return value[:LONGEST_DELIMITER]

    def refuse_command(self, text: str) -> None:
        """:raises LampError: when ``text`` begins with a command of the client"""
        name, _space, rest = text[:LONGEST_COMMAND].replace("\t", " ").partition(" ")
        takes_argument = COMMANDS.get(name.lower())
        if takes_argument is not None and (takes_argument or not rest.strip(SPACE)):
            self.refuse(name)

    def read_line(self, line: str, ended: bool) -> None:
        """One line, without its end."""
        position = 0
        self.server_comment = False  # in /*! */; the client forgets it with the line
        self.space = False  # whether a space is due in place of a comment
        while position < len(line):
            if self.comment:
                position = self.skip_comment(line, position)
            elif self.quote:
                position = self.read_string(line, position)
            else:
                run = self.plain.match(line, position)
                if run:
                    position = run.end()
                    self.add(run.group())
                else:
                    position = self.read_special(line, position)
        if ended and self.out and not self.comment:
            self.out.append("\n")

    def read_special(self, line: str, position: int) -> int:
        """A character that may mean more than itself. Returns where to go on."""
        character, following = line[position], line[position + 1 : position + 2]
        if character == "\\":
            if following not in ("", "N", "-"):  # a dump begins with "\\-": commands of the client are not to be obeyed
                self.refuse(line[position : position + 2])
            if following == "N":
                due, self.space = self.space, False  # the client puts no space before it
                self.add("\\N")
                self.space = due
            return position + 2
        if line.startswith(self.delimiter, position):
            self.end_statement(self.in_body(), self.delimiter)
            return position + len(self.delimiter)
        if character == ";":
            self.end_statement(self.in_routine(), ";")
            return position + 1
        dashes = character == following == "-" and (line[position + 2 : position + 3] in SPACE or not self.out)
        if character == "#" or dashes:
            return len(line)
        if character == "/" and following == "*" and not self.is_code(line, position):
            self.comment = True
            return position + 2
        if line.startswith("/*!", position):
            self.server_comment = True
        elif line.startswith("*/", position):
            self.server_comment = False
        self.quote = character if character in "'\"`" else ""
        self.add(character)
        return position + 1

    def end_statement(self, belongs: bool, delimiter: str) -> None:
        """A delimiter: the end, unless it belongs to the statement."""
        if belongs:
            self.add(delimiter)
        else:
            self.finish()

    def skip_comment(self, line: str, position: int) -> int:
        """Go on to the next place of a comment that may matter; the client lets ``/*! */`` nest, if in one line."""
        slash, star = line.find("/*", position), line.find("*/", position)
        if slash >= 0 and (star < 0 or slash < star):
            code = line.startswith("/*!", slash)
            self.server_comment = self.server_comment or code
            return slash + (1 if code else 2)
        if star < 0:
            return len(line)
        if self.server_comment:
            self.server_comment = False
            return star + 1
        self.comment = False
        self.space = True
        return star + 2

    def is_code(self, line: str, position: int) -> bool:
        """Whether the comment that begins here is sent, because a server may read it as code."""
        third = line[position + 2 : position + 3]
        return third == "!" or line.startswith("M!", position + 2) or (third == "+" and self.dialect.hints)

    def read_string(self, line: str, position: int) -> int:
        """Read on in a string or a quoted name, at most to its end. Returns where to go on."""
        escapes = self.dialect.escapes(self.quote)
        end = position
        while end < len(line):
            quote = line.find(self.quote, end)
            escape = line.find("\\", end, quote if quote >= 0 else len(line)) if escapes else -1
            if escape >= 0:
                if escape + 1 == len(line):  # the client drops it; the line end that it escapes is the same without
                    self.out.append(line[position:escape])
                    return len(line)
                end = escape + 2
            elif quote >= 0:
                self.quote = ""
                self.out.append(line[position : quote + 1])
                return quote + 1
            else:
                end = len(line)
        self.out.append(line[position:])
        return len(line)

    def add(self, text: str) -> None:
        """Add text to the statement, after a space where a comment stood."""
        if not self.out:
            text = text.lstrip(SPACE)
            self.started = self.number
        elif self.space and text and text[0] not in SPACE:
            self.out.append(" ")
        if text:
            self.out.append(text)
            self.space = False

    def in_routine(self) -> bool:
        """Whether the statement makes a routine, or is a block, so that statements may be inside of it."""
        if self.body is None:
            text = "".join(self.out)
            self.out = [text] if text else []
            self.body = body_of(text, self.dialect.escapes("'"))
        return self.body is not None

    def in_body(self) -> bool:
        """Whether a delimiter here belongs to the body of a routine."""
        if self.delimiter != ";" or not self.in_routine() or self.body is None:
            return False
        text = "".join(self.out)
        self.body.feed(text[self.fed :], self.dialect.escapes("'"))
        self.out, self.fed = [text], len(text)
        return self.body.inside

    def finish(self) -> None:
        """Keep the statement that was collected, if there is any."""
        text = "".join(self.out).strip(SPACE).rstrip(TRAILING)
        if text:
            self.number, here = self.started, self.number
            if text[:9].lower() == "delimiter" and text[9:10].isspace():
                self.refuse("DELIMITER that does not begin its line")
            self.refuse_command(text)
            self.number = here
            statement = Statement(text, self.started, closed=not (self.quote or self.comment))
            self.statements.append(statement)
            self.dialect.follow(statement)
        self.begin()

    def refuse_tag(self, line: str) -> t.NoReturn:
        """Whoever wrote that means to drop the sessions, and would find out too late that nothing did.

        :raises LampError: always
        """
        tag = "-- @DROP-SESSIONS"
        why = f"is not the tag {tag}" if self.statements is self.parts.do else "does nothing in the undo part"
        raise LampError(
            "dbdeploy_bad_tag",
            f"{self.name}, line {self.number}: {line!r} {why}.",
            f"Write {tag} in front of the undo part, alone on its line; or take the @ out, if it is only a remark.",
        )

    def refuse_marker(self, line: str) -> t.NoReturn:
        """What is below such a line would be run, to undo what was just done.

        :raises LampError: always
        """
        raise LampError(
            "dbdeploy_bad_tag",
            f"{self.name}, line {self.number}: {line!r} is not the marker -- @UNDO of the undo part.",
            "Write -- @UNDO alone on its line; or take the @ and the // out, if it is only a remark.",
        )

    def refuse(self, command: str) -> t.NoReturn:
        """:raises LampError: always"""
        raise LampError(
            "dbdeploy_client_command",
            f"{self.name}, line {self.number}: {command} is a command of the mysql client, not SQL.",
            "Take it out: a delta holds SQL alone (and DELIMITER).",
        )


def parts(text: str, name: str = "script", dialect: Dialect | None = None) -> Parts:
    """The parts of a delta. :raises LampError: ``dbdeploy_client_command``, ``dbdeploy_bad_tag``"""
    return Splitter(text, name, dialect or Dialect()).split()


def split(text: str, name: str = "script", dialect: Dialect | None = None) -> list[Statement]:
    """The statements before the undo marker. :raises LampError: as ``parts``"""
    return parts(text, name, dialect).do
