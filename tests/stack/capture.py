#!/usr/bin/env python3
"""Captures tests/fixtures/debezium/*.jsonl from the real connector.

usage: capture.py [NAME...]        default: every scenario; starts a stack of its own and removes it at the end

A scenario is tests/fixtures/debezium/NAME.sql. Its first comments are directives:
    -- ids: uuid | u64                  which tables
    -- connector: KEY=VALUE             a setting of the connector that differs from the stack's own (any number)
    -- expect: N                        how many records it makes; another number is a failure
then come two parts, each of which may be empty:
    -- before the snapshot
    -- while streaming
What came out goes to NAME.jsonl: a line per record, by topic, partition and offset, key and value as the exact text.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from stacklib import kafka, postgres  # noqa: E402
from stacklib.common import REPOSITORY, Failure, wait  # noqa: E402
from stacklib.connect import create, delete  # noqa: E402
from stacklib.wire import Kafka  # noqa: E402

FIXTURES = REPOSITORY / "tests/fixtures/debezium"
STACK = Path(__file__).resolve().parent / "stack"


def read_scenario(file):
    text = file.read_text()
    directives = re.findall(r"^-- (ids|connector|expect): (.*)$", text, re.MULTILINE)
    parts = re.split(r"^-- (?:before the snapshot|while streaming)$", text, flags=re.MULTILINE)
    if len(parts) != 3:
        raise Failure(f"{file}: needs both '-- before the snapshot' and '-- while streaming'")
    one = dict(directives)
    return {
        "ids": one.get("ids", "uuid"), "expect": int(one["expect"]), "before": parts[1], "streaming": parts[2],
        "connector": dict(value.split("=", 1) for key, value in directives if key == "connector"),
    }


def run_sql(database, text, file):
    # One transaction a statement, as psql does with a file, unless it says BEGIN.
    done = subprocess.run([postgres.program("psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-d", database],
                          input=text, capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"{file}: {done.stderr.strip()}")


def capture(env, file):
    scenario = read_scenario(file)
    name = file.stem
    database_name, admin = f"capture_{name}", env["EDGEFEED_TEST_POSTGRES_ADMIN"]
    postgres.create_database(admin, database_name, scenario["ids"])
    database = postgres.with_database(env["EDGEFEED_TEST_POSTGRES"], database_name)
    with Kafka(env["EDGEFEED_TEST_KAFKA"]) as client:
        topics = lambda: sorted(topic for topic in client.partitions() if topic.startswith("cdc."))
        for topic in topics():
            kafka.delete_topic(env["EDGEFEED_TEST_KAFKA"], topic)
        kafka.create_topics(env["EDGEFEED_TEST_KAFKA"])
        run_sql(database, scenario["before"], file)
        create(env["EDGEFEED_TEST_CONNECT"], database, "capture", scenario["connector"])
        try:
            run_sql(database, scenario["streaming"], file)
            records = []

            def enough():
                records[:] = [record for topic in topics() for record in client.records(topic)]
                return len(records) >= scenario["expect"]
            wait(enough, 20, 0.2)
            time.sleep(1)  # one that should not be there would come now
            enough()
        finally:
            delete(env["EDGEFEED_TEST_CONNECT"], database, "capture")
    postgres.sql(admin, f"DROP DATABASE {database_name} WITH (FORCE)")
    (FIXTURES / f"{name}.jsonl").write_text(
        "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    wrong = len(records) != scenario["expect"]
    print(f"{name}: {len(records)} records" + (f", expected {scenario['expect']}" if wrong else ""), flush=True)
    return not wrong


def main(names):
    files = [FIXTURES / f"{name}.sql" for name in names] or sorted(FIXTURES.glob("*.sql"))
    for file in files:
        read_scenario(file)  # a typing mistake shows before anything is started
    directory = tempfile.mkdtemp(prefix="edgefeed-capture-")
    try:
        # Always servers of its own: it makes and deletes databases and topics.
        own = {key: value for key, value in os.environ.items() if not key.startswith("EDGEFEED_TEST_")}
        subprocess.run([STACK, "up", directory, "postgres", "connect"], check=True, env=own)
        env = dict(line.split("=", 1) for line in Path(directory, "env").read_text().splitlines())
        done = [capture(env, file) for file in files]
        return 0 if all(done) else 1
    finally:
        subprocess.run([STACK, "down", directory], check=False)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (Failure, OSError, KeyError, subprocess.CalledProcessError) as error:
        print(f"capture: {error!r}" if isinstance(error, KeyError) else f"capture: {error}", file=sys.stderr)
        sys.exit(1)
