"""A private PostgreSQL server: wal_level = logical, 127.0.0.1 only, thrown away with its directory."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from .common import HERE, REPOSITORY, Failure, Process

USER, PASSWORD, DATABASE = "edgefeed", "edgefeed", "edgefeed"
SQL = REPOSITORY / "sql/postgres"

# fsync off: nothing here outlives its test. synchronous_commit stays on: only flushed WAL reaches the change stream, so
# turning it off would delay every change by the WAL writer's delay.
SETTINGS = {
    "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "wal_level": "logical",
    "max_replication_slots": "20", "max_wal_senders": "20", "max_connections": "100", "shared_buffers": "64MB",
    "fsync": "off", "full_page_writes": "off", "timezone": "UTC", "log_timezone": "UTC", "lc_messages": "C",
    "logging_collector": "off",
}


def program(name):
    """A program of the newest PostgreSQL here; Debian keeps the server's out of PATH."""
    candidates = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    found = str(candidates[-1]) if candidates else shutil.which(name)
    if not found:
        raise Failure(f"no {name} (PostgreSQL's server) here; run {HERE / 'install.sh'}")
    return found


def as_postgres():
    """How to run a server: PostgreSQL refuses root, so root becomes the package's user."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        raise Failure("PostgreSQL does not run as root, and there is no user called postgres") from None
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def data_directory(state):
    """Under root: outside DIR, which may lie where the postgres user may not go (a test's 0700 directory)."""
    known = state.get("postgres_data")
    if known and Path(known).is_dir():
        return Path(known)
    if os.geteuid() == 0:
        path = Path(tempfile.mkdtemp(prefix="edgefeed-postgres-"))
        os.chown(path, as_postgres()["user"], as_postgres()["group"])
    else:
        path = state.dir / "postgres"
        path.mkdir(exist_ok=True)
    state.set(postgres_data=str(path))
    return path


def up(state):
    process, port, data = Process(state, "postgres"), state.port("postgres"), data_directory(state)
    superuser = url(port, "postgres", "postgres", "postgres")
    if process.pid() is None:
        run_as = as_postgres()
        if not (data / "global/pg_control").exists():
            # The password on standard input's file keeps local connections as strict as a real server's.
            password = data.parent / f"{data.name}.password"
            password.write_text("postgres\n")
            try:
                os.chmod(password, 0o644)
                done = subprocess.run(
                    [program("initdb"), "-D", data, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={password}",
                     "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
                    cwd="/", capture_output=True, text=True, **run_as)
            finally:
                password.unlink()
            if done.returncode:
                raise Failure(f"initdb failed:\n{done.stdout}{done.stderr}")
        (data / "postmaster.pid").unlink(missing_ok=True)  # left by a server that was killed
        settings = [word for key, value in SETTINGS.items() for word in ("-c", f"{key}={value}")]
        process.start([program("postgres"), "-D", data, "-p", str(port), *settings], cwd="/", **run_as)
    ready = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-d", "postgres"]
    process.wait_ready(lambda: subprocess.run(ready).returncode == 0, 30)
    if not sql(superuser, f"SELECT 1 FROM pg_roles WHERE rolname = '{USER}'"):
        sql(superuser, f"CREATE ROLE {USER} LOGIN REPLICATION PASSWORD '{PASSWORD}'")
    create_database(superuser, DATABASE, state.get("ids"))
    own = url(port, USER, PASSWORD, DATABASE)
    reader = url(port, "edgefeed_reader", "reader", DATABASE)
    return {"EDGEFEED_TEST_POSTGRES": own, "EDGEFEED_TEST_POSTGRES_READER": reader,
            "EDGEFEED_TEST_POSTGRES_ADMIN": superuser}


def down(state, keep):
    # Fast shutdown when the data stays, immediate (no checkpoint) when it goes.
    Process(state, "postgres").stop(signal.SIGINT if keep else signal.SIGQUIT)
    data = state.get("postgres_data")
    if data and not keep:
        shutil.rmtree(data, ignore_errors=True)


def create_database(superuser, name, ids):
    """A database with the tables, indexes, publication and reader of sql/postgres; nothing changes when it is there."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,50}", name):
        raise Failure(f"not a database name of a-z, 0-9 and _: {name}")
    if not sql(superuser, f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
        sql(superuser, f"CREATE DATABASE {name} OWNER {USER}")
    apply_schema(with_database(superuser, name, USER, PASSWORD), ids)
    sql(with_database(superuser, name), file=SQL / "roles/reader.sql")
    sql(superuser, "ALTER ROLE edgefeed_reader PASSWORD 'reader'")


def apply_schema(database_url, ids):
    """schema/IDS/*.sql and then schema/*.sql, as the tables' owner."""
    for file in sorted((SQL / "schema" / ids).glob("*.sql")) + sorted((SQL / "schema").glob("*.sql")):
        sql(database_url, file=file)


def url(port, user, password, database):
    return f"postgres://{quote(user)}:{quote(password)}@127.0.0.1:{port}/{quote(database)}"


def parts(database_url):
    """host, port, user, password and database of a URL."""
    split = urlsplit(database_url)
    return (split.hostname, split.port or 5432, unquote(split.username or ""), unquote(split.password or ""),
            unquote(split.path.lstrip("/")))


def with_database(database_url, database, user=None, password=None):
    split = urlsplit(database_url)
    login = f"{quote(user)}:{quote(password)}" if user else split.netloc.rpartition("@")[0]
    return f"{split.scheme}://{login}@{split.netloc.rpartition('@')[2]}/{quote(database)}"


def sql(database_url, statement=None, file=None):
    """Runs SQL; the rows as psql prints them unaligned, one string a row."""
    what = ["-f", str(file)] if file else ["-c", statement]
    done = subprocess.run(
        [program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database_url, *what],
        capture_output=True, text=True, env={**os.environ, "PGOPTIONS": "-c client_min_messages=warning"})
    if done.returncode:
        raise Failure(f"PostgreSQL refused {file or statement}:\n{done.stderr.strip()}")
    return done.stdout.splitlines()
