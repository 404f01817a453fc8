"""The ClickHouse engine in this process, and its way of naming errors."""

import re
import threading

from chdb import ChdbError
from chdb.state.sqlitelike import Connection

from .chsql import SqlError, identifier, literal

# Where the library's defaults are not the server's.
SERVER_LIKE = {"implicit_select": "0", "allow_introspection_functions": "0", "storage_file_read_method": "pread"}

# src/Server/HTTP/exceptionCodeToHTTPStatus.cpp; what is not here is 500.
STATUS = {194: 401, 62: 400, 36: 400, 6: 400, 25: 400, 26: 400, 38: 400, 41: 400, 72: 400, 427: 400, 675: 400, 676: 400,
          376: 400, 15: 400, 44: 400, 8: 400, 117: 400, 53: 400, 69: 400,
          60: 404, 46: 404, 47: 404, 50: 404, 56: 404, 81: 404, 115: 404, 63: 404, 73: 404, 336: 404, 78: 404, 511: 404,
          192: 403, 193: 403, 516: 403, 497: 403, 159: 408, 48: 501, 209: 503, 76: 503}


class Engine:
    """One data directory. Any number of threads may call run(), each holding one of the slots."""

    def __init__(self, path, at_once):
        # Held for the life of the process: the engine shuts down with its last connection.
        self.path = str(path)
        self.base = Connection(self.path)
        self.slots = threading.BoundedSemaphore(at_once)
        self.at_once = at_once
        self.version, self.zone = self.base.query("SELECT version(), timezone()", "TabSeparated").bytes().decode().split()

    def run(self, sql, form, database=None, settings=None, params=None):
        """Runs one query on a connection of its own: it costs 0.1 ms, and no setting or `USE` can reach the next query."""
        everything = {**SERVER_LIKE, **(settings or {})}
        for name in everything:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name):
                raise SqlError(115, f"Unknown setting '{name}'. (UNKNOWN_SETTING)")
        connection = Connection(self.path)
        try:
            connection.query("SET " + ", ".join(f"{name} = {literal(value)}" for name, value in everything.items()))
            if database:
                connection.query("USE " + identifier(database))
            return connection.query(sql, form, params=params or {})
        except ChdbError as error:
            code, text = re.match(r"(?:Code: (\d+)\. )?(?:DB::Exception: )?(.*)", str(error), re.DOTALL).groups()
            raise SqlError(int(code or 1002), text) from None
        finally:
            connection.close()

    def close(self, timeout):
        """Waits for the queries under way and lets no new one begin. Whether all came to their end."""
        done = all(self.slots.acquire(timeout=timeout) for _ in range(self.at_once))
        if done:
            self.base.close()
        return done
