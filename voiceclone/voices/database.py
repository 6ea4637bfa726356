"""The store's database: connection settings that make a commit durable, writers that take turns, the schema."""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError

from voiceclone.errors import StoreError
from voiceclone.voices.tables import SCHEMA_VERSION, metadata, schema

_log = logging.getLogger(__name__)
T = TypeVar("T")

#: Seconds a writer waits for the others before it gives up.
_BUSY_SECONDS = 30.0


class Database:
    """Reads and writes as functions of a connection. Safe to use from any thread, process and forked child."""

    def __init__(self, url: str) -> None:
        self._engine = _make_engine(url)
        self._sqlite = self._engine.dialect.name == "sqlite"
        if hasattr(os, "register_at_fork"):  # a child must not speak over its parent's connections
            os.register_at_fork(after_in_child=partial(_forget_connections, weakref.ref(self._engine)))
        self._retrying(self._create)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on one consistent view of the store. Raises StoreError where the database fails."""

        def attempt() -> T:
            with self._engine.begin() as connection:
                return work(connection)

        return self._retrying(attempt)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` alone among the writers of all processes; it may run more than once. Raises StoreError.

        What it did is on the disk when this returns, and undone when it raises.
        """

        def attempt() -> T:
            with self._writing() as connection:
                return work(connection)

        return self._retrying(attempt)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._engine.connect().execution_options(voiceclone_write=True) as connection, connection.begin():
            if not self._sqlite:
                connection.execute(select(schema.c.version).with_for_update())
            yield connection

    def _create(self) -> None:
        with self._engine.connect().execution_options(voiceclone_write=True) as connection, connection.begin():
            if not inspect(connection).has_table(schema.name):
                metadata.create_all(connection)
                connection.execute(insert(schema).values(version=SCHEMA_VERSION))
                return
            found = connection.execute(select(schema.c.version)).scalar_one()
            if found > SCHEMA_VERSION:
                raise StoreError(
                    f"The voice store has schema {found}; this voiceclone reads up to {SCHEMA_VERSION}.",
                    hint="Install the newer voiceclone that wrote it, or point VOICECLONE_HOME at another folder.",
                )

    def _retrying(self, attempt: Callable[[], T]) -> T:
        until = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                return attempt()
            except SQLAlchemyError as error:
                if not _is_busy(error) or time.monotonic() > until:
                    _log.exception("the voice store's database failed")
                    raise StoreError(
                        f"The voice store's database failed ({_cause(error)}).",
                        hint="Run: voiceclone doctor. The server's log has the details.",
                    ) from error
            time.sleep(random.uniform(0.005, 0.05))


def _forget_connections(engine: weakref.ref[Engine]) -> None:
    found = engine()
    if found is not None:
        found.dispose(close=False)


def _make_engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return create_engine(parsed, pool_pre_ping=True)
        if parsed.database in (None, "", ":memory:"):
            raise StoreError("The voice store needs a database file.", hint="Use sqlite:///folder/voices.db.")
        engine = create_engine(parsed, connect_args={"timeout": _BUSY_SECONDS})
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise StoreError(
            f"The database URL cannot be used ({type(error).__name__}).",
            hint="Use sqlite:///folder/voices.db, or a URL whose SQLAlchemy driver is installed.",
        ) from error
    event.listen(engine, "connect", _on_sqlite_connect)
    event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _on_sqlite_connect(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where _on_sqlite_begin says, not where the driver guesses
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")  # in WAL mode NORMAL may lose acknowledged commits in a power cut
    cursor.execute("PRAGMA secure_delete=ON")  # purged conditioning does not stay readable in free pages
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()


def _on_sqlite_begin(connection: Connection) -> None:
    # A transaction that reads first and then writes would fail at once, not wait, when another wrote in between.
    write = connection.get_execution_options().get("voiceclone_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _is_busy(error: SQLAlchemyError) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated or getattr(error.orig, "sqlstate", "") in ("40001", "40P01"):
        return True
    return isinstance(error, OperationalError) and any(word in str(error.orig) for word in ("locked", "busy"))


def _cause(error: SQLAlchemyError) -> str:
    original = getattr(error, "orig", None) or error
    text = str(original).splitlines()[0] if str(original) else type(original).__name__
    known = ("disk is full", "disk I/O error", "readonly", "unable to open", "not a database", "malformed", "locked")
    return next((word for word in known if word in text), type(original).__name__)
