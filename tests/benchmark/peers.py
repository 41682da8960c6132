# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other tools for database changes, as their manuals say to run them, each with the same deltas in its own files."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.support.modules import ROOT
from tests.support.phing import TABLE as PHING_TABLE
from tests.support.phing import phing
from tests.support.servers.mariadb import MariaDB

PYTHON = ("alembic==1.20.1", "yoyo-migrations==9.0.0", "PyMySQL==1.2.4")
NODE = ("dbmate@2.36.0",)
DEBIAN = ("phing", "sql-migrate")
ENVIRONMENT = """from alembic import context
from sqlalchemy import create_engine
with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """from alembic import op
revision, down_revision = {number!r}, {previous!r}
def upgrade():
    for statement in {statements!r}:
        op.execute(statement)
"""

Deltas = list[list[str]]  # the statements of each


def generate(count: int) -> Deltas:
    """Small deltas: every fourth makes a table and puts a row into it, the others change rows."""
    deltas: Deltas = []
    for number in range(1, count + 1):
        table = f"t{(number - 1) // 4}"
        if number % 4 == 1:
            deltas.append([
                f"CREATE TABLE {table} (id INT PRIMARY KEY, name VARCHAR(50), KEY (name)) ENGINE=InnoDB",
                f"INSERT INTO {table} VALUES (0, 'first')",
            ])  # fmt: skip
        else:
            deltas.append([f"INSERT INTO {table} VALUES ({number}, 'delta {number}')"])
    return deltas


def script(statements: list[str]) -> str:
    """Statements as a script of SQL."""
    return "".join(f"{statement};\n" for statement in statements)


def installed() -> Path:
    """The folder of the tools that registries have, made at the first call."""
    recipe = hashlib.sha256(repr((PYTHON, NODE)).encode()).hexdigest()[:12]
    folder = ROOT / ".cache" / "bench" / recipe
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        subprocess.run(["python3", "-m", "venv", str(part / "venv")], check=True)
        # Run as modules: the venv's scripts name the folder that it was made in.
        subprocess.run([str(part / "venv" / "bin" / "python"), "-m", "pip", "install", "-qq", *PYTHON], check=True)
        subprocess.run(["npm", "install", "--silent", "--prefix", str(part), *NODE], check=True)
        part.rename(folder)
    return folder


def versions() -> str:
    """Those of all tools, in a sentence."""
    command = ["dpkg-query", "--show", "--showformat", "${Package} ${Version}, ", *DEBIAN]
    debian = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    others = ", ".join(tool.replace("==", " ").replace("@", " ") for tool in (*PYTHON, *NODE))
    return f"The peers: {debian}{others}."


class Peer:
    """One tool; ``prepare`` writes its files, ``run`` applies what is pending to the server's ``database``."""

    name = ""
    sizes = range(1, 1001)  # the numbers of deltas that it is measured with
    once_from = 1001  # the number of deltas from which on it is measured once

    def __init__(self, folder: Path, server: MariaDB, database: str) -> None:
        self.folder = folder
        self.server = server
        self.database = database
        folder.mkdir(parents=True)

    @property
    def address(self) -> str:
        """User, password, host, port and database, as URLs have them."""
        return f"root:{self.server.password}@127.0.0.1:{self.server.port}/{self.database}"

    def empty(self) -> None:
        """Make the database anew, with what the tool's users create by hand."""
        self.server.query(f"DROP DATABASE IF EXISTS {self.database}")
        self.server.query(f"CREATE DATABASE {self.database}")

    def prepare(self, deltas: Deltas) -> None:
        """One file a delta."""
        for number, statements in enumerate(deltas, 1):
            (self.folder / self.file_name(number)).write_text(self.text(number, statements))

    def file_name(self, number: int) -> str:
        """The file of a delta."""
        return f"{number:04}_delta.sql"

    def text(self, _number: int, statements: list[str]) -> str:
        """What its file says."""
        return script(statements)

    def command(self) -> list[str]:
        """What is run."""
        raise NotImplementedError

    def run(self) -> None:
        """Apply what is pending."""
        done = subprocess.run(
            self.command(), capture_output=True, text=True, check=False, cwd=self.folder,
            env={**os.environ, "DATABASE_URL": f"mysql://{self.address}"},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{self.name}: {done.stdout[-1500:]}{done.stderr[-1500:]}")


class Raw(Peer):
    """The floor: everything in one script, nothing recorded."""

    name = "mariadb < all.sql"

    def prepare(self, deltas: Deltas) -> None:
        self.script = "".join(map(script, deltas))

    def run(self) -> None:
        done = self.server.client(self.script, self.database)
        if done.returncode:
            raise RuntimeError(done.stderr)


class Phing(Peer):
    """Debian's; its task writes the script, the client runs it."""

    name = "Phing and mariadb"

    def empty(self) -> None:
        super().empty()
        self.server.query(PHING_TABLE, database=self.database)

    def run(self) -> None:
        work = self.folder.with_suffix(".work")
        work.mkdir(exist_ok=True)
        phing(self.server, self.database, self.folder, work, 'checkall="true"')


class SqlMigrate(Peer):
    """Debian's sql-migrate."""

    name = "sql-migrate"

    def prepare(self, deltas: Deltas) -> None:
        super().prepare(deltas)
        user, _, place = self.address.rpartition("@")
        host, _, database = place.partition("/")
        self.config = self.folder.with_suffix(".yml")
        self.config.write_text(
            f"bench:\n  dialect: mysql\n  datasource: '{user}@tcp({host})/{database}?parseTime=true'\n"
            f"  dir: {self.folder}\n"
        )

    def text(self, _number: int, statements: list[str]) -> str:
        return f"-- +migrate Up\n{script(statements)}"

    def command(self) -> list[str]:
        return ["sql-migrate", "up", f"-config={self.config}", "-env=bench"]


class Dbmate(Peer):
    """dbmate, from npm."""

    name = "dbmate"

    def file_name(self, number: int) -> str:
        return f"{20200101000000 + number}_delta.sql"

    def text(self, _number: int, statements: list[str]) -> str:
        return f"-- migrate:up\n{script(statements)}\n-- migrate:down\n"

    def command(self) -> list[str]:
        program = installed() / "node_modules" / ".bin" / "dbmate"
        return [str(program), "--migrations-dir", str(self.folder), "--no-dump-schema", "migrate"]


class Yoyo(Peer):
    """yoyo-migrations, from PyPI."""

    name = "yoyo"
    once_from = 1000

    def command(self) -> list[str]:
        return [
            str(installed() / "venv" / "bin" / "python"), "-m", "yoyo", "apply", "--batch", "--no-config-file",
            "--database", f"mysql://{self.address}", str(self.folder),
        ]  # fmt: skip


class Alembic(Peer):
    """alembic, from PyPI."""

    name = "alembic"

    def prepare(self, deltas: Deltas) -> None:
        (self.folder / "versions").mkdir()
        super().prepare(deltas)
        (self.folder / "env.py").write_text(ENVIRONMENT)
        (self.folder / "alembic.ini").write_text(
            f"[alembic]\nscript_location = {self.folder}\nsqlalchemy.url = mysql+pymysql://{self.address}\n"
        )

    def file_name(self, number: int) -> str:
        return f"versions/{number:04}_delta.py"

    def text(self, number: int, statements: list[str]) -> str:
        previous = f"{number - 1:04}" if number > 1 else None
        return REVISION.format(number=f"{number:04}", previous=previous, statements=statements)

    def command(self) -> list[str]:
        python = str(installed() / "venv" / "bin" / "python")
        return [python, "-m", "alembic.config", "-c", str(self.folder / "alembic.ini"), "upgrade", "head"]


PEERS: tuple[type[Peer], ...] = (Phing, SqlMigrate, Dbmate, Alembic, Yoyo)
