"""A PostgreSQL server of the tests' own: no port, no data that lasts."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.sql import SQL

SUPERUSER = "scopegate"
_NOBODY = ("postgres", "nobody")
_NUMBERS = count(1)
# What is lost in a crash is of no interest here.
_FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"


def programs() -> Path | None:
    """The folder of PostgreSQL's programs; Debian has them outside of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    return None if on_path is None else Path(on_path).resolve().parent


class PostgreSQL:
    """A server that listens on a socket in its folder. It does not run as root, so then another user runs it."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self._programs = programs
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            known = {entry.pw_name for entry in pwd.getpwall()}
            user = next(name for name in _NOBODY if name in known)
            shutil.chown(folder, user)
            self._user = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", f"--username={SUPERUSER}")

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses= -c max_connections=200 {_FAST}"
        self._run("pg_ctl", "-w", "-l", f"{self._folder}/log", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Whoever is connected is cut off; `immediate` does not even write what is in memory."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{next(_NUMBERS)}"
        self._create("postgres", f"CREATE DATABASE {name}")
        return self._url(name)

    def schema(self) -> str:
        """The URL of a new, empty schema of a database: the same to who uses it, and made faster."""
        name = f"test_{next(_NUMBERS)}"
        self._create("postgres", f"CREATE SCHEMA {name}")
        return f"{self._url('postgres')}&options=-csearch_path%3D{name}"

    def _create(self, database: str, statement: str) -> None:
        with psycopg.connect(self._url(database), autocommit=True) as connection:
            connection.execute(SQL(statement))

    def _url(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(self._folder), safe='')}"

    def _run(self, program: str, *arguments: str) -> None:
        command: Sequence[str] = [str(self._programs / program), "-D", f"{self._folder}/data", *arguments]
        done = subprocess.run(
            command,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,  # a pipe would stay open as long as the server runs
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=50,
            **self._user,
        )
        log = self._folder / "log"
        assert done.returncode == 0, f"{program} failed\n{log.read_text() if log.exists() else ''}"
