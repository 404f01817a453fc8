"""Kafka Connect (standalone) with Debezium's PostgreSQL connector, driven through its REST API."""

import json
import re
import signal
import urllib.error
import urllib.request

from . import postgres
from .common import HOME, Failure, Process, java, wait, wait_or_fail
from .postgres import sql, with_database

JSON = "org.apache.kafka.connect.json.JsonConverter"


def worker(state, kafka):
    return {
        "bootstrap.servers": kafka, "listeners": f"http://127.0.0.1:{state.port('connect')}",
        "plugin.path": HOME / "plugins", "plugin.discovery": "service_load",
        "key.converter": JSON, "value.converter": JSON,
        "offset.storage.file.filename": state.dir / "connect/offsets", "offset.flush.interval.ms": 200,
        # Records go out as they come, uncompressed (wire.py reads them), and a stopped Kafka is retried soon.
        "producer.linger.ms": 0, "producer.compression.type": "none", "producer.reconnect.backoff.max.ms": 500,
        "connector.client.config.override.policy": "All", "topic.creation.enable": "true",
    }


def up(state, kafka):
    home = state.dir / "connect"
    home.mkdir(exist_ok=True)
    file = home / "worker.properties"
    file.write_text("".join(f"{key}={value}\n" for key, value in worker(state, kafka).items()))
    address = f"http://127.0.0.1:{state.port('connect')}"
    process = Process(state, "connect")
    if process.pid() is None:
        process.start(java("org.apache.kafka.connect.cli.ConnectStandalone", str(file), heap="512m"))
    process.wait_ready(lambda: answers(address), 90)
    return {"EDGEFEED_TEST_CONNECT": address}


def answers(address):
    try:
        call(address, "GET", "/connectors")
        return True
    except (OSError, Failure):
        return False


def down(state, keep):
    Process(state, "connect").stop(signal.SIGTERM if keep else signal.SIGKILL)


def call(address, method, path, body=None, missing_is=None):
    """One REST call; its JSON answer. missing_is: what to return on 404 instead of failing."""
    request = urllib.request.Request(
        address + path, method=method, headers={"Content-Type": "application/json"},
        data=None if body is None else json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return json.loads(text) if text else {}
    except urllib.error.HTTPError as error:
        if error.code == 404 and missing_is is not None:
            return missing_is
        raise Failure(f"Kafka Connect: {method} {path}: {error.code} {error.read().decode(errors='replace')}") from None


def configuration(name, database_url, overrides):
    """What the connector is told; overrides replace a key, and an empty value takes it out."""
    host, port, user, password, database = postgres.parts(database_url)
    config = {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1",
        "database.hostname": host, "database.port": str(port), "database.user": user,
        "database.password": password, "database.dbname": database,
        # Named here too: a connector that sets only KEY.schemas.enable would be given the worker's converter as it is.
        "key.converter": JSON, "key.converter.schemas.enable": "false",
        "value.converter": JSON, "value.converter.schemas.enable": "false",
        "plugin.name": "pgoutput", "slot.name": slot_name(name),
        "publication.name": "edgefeed_cdc", "publication.autocreate.mode": "disabled",
        "table.include.list": ",".join(f"public.{table}" for table in
                                       ("users", "posts", "follows", "comments", "likes", "blocks")),
        "topic.prefix": "cdc", "snapshot.mode": "initial",
        "tombstones.on.delete": "true", "heartbeat.interval.ms": "0",
        # Topic PREFIX.public.TABLE becomes PREFIX.TABLE.
        "transforms": "route", "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.route.regex": r"([^.]+)\.public\.(.*)", "transforms.route.replacement": "$1.$2",
        # Topics that are not there yet (another prefix, PREFIX.message) are made like the others.
        "topic.creation.default.partitions": "4", "topic.creation.default.replication.factor": "1",
        "poll.interval.ms": "50", "status.update.interval.ms": "1000",
    }
    config.update(overrides)
    return {key: value for key, value in config.items() if value != ""}


def slot_name(name):
    if not re.fullmatch(r"[a-z0-9_-]{1,50}", name):
        raise Failure(f"not a connector name of a-z, 0-9, - and _: {name}")
    return "edgefeed_" + name.replace("-", "_")


def create(address, database_url, name, overrides, resume=False):
    """Makes the connector anew: no offsets, a new slot, a snapshot first. With resume: only its settings change, and it goes
    on where it was."""
    config = configuration(name, database_url, overrides)
    if not resume:
        delete(address, database_url, name)
    call(address, "PUT", f"/connectors/{name}/config", config)

    def running():
        status = call(address, "GET", f"/connectors/{name}/status", missing_is={"tasks": []})
        states = [status.get("connector", {}), *status["tasks"]]
        for state in states:
            if state.get("state") == "FAILED":
                lines = state.get("trace", "").splitlines()
                causes = [line for line in lines if not line.startswith("\tat ")]
                raise Failure(f"connector {name} failed:\n" + "\n".join(causes[:8]))
        return bool(status["tasks"]) and all(state.get("state") == "RUNNING" for state in states)

    wait_or_fail(running, 60, f"connector {name} to run")
    # RUNNING comes before the snapshot. The server's view of the slot tells when it is over and changes flow.
    # (pg_stat_replication would say it plainly, but shows it to superusers only.)
    streaming = f"""SELECT 1 FROM pg_replication_slots s JOIN pg_stat_activity a ON a.pid = s.active_pid
                    WHERE s.slot_name = '{config["slot.name"]}' AND a.query LIKE 'START_REPLICATION%'"""
    database = with_database(database_url, config["database.dbname"])
    wait_or_fail(lambda: running() and sql(database, streaming), 120, f"connector {name} to stream changes", 0.1)


def delete(address, database_url, name):
    """Removes the connector, its offsets and its slot; whatever of them there is."""
    slot = slot_name(name)
    old = call(address, "GET", f"/connectors/{name}", missing_is={})
    if old:
        slot = old["config"].get("slot.name", slot)
        call(address, "PUT", f"/connectors/{name}/stop")
        stopped = lambda: call(address, "GET", f"/connectors/{name}/status")["connector"]["state"] == "STOPPED"
        wait_or_fail(stopped, 30, f"connector {name} to stop")

        def forgotten():  # refused while the task is still on its way out
            try:
                call(address, "DELETE", f"/connectors/{name}/offsets")
                return True
            except Failure:
                return False
        wait_or_fail(forgotten, 30, f"the offsets of connector {name} to go", 0.2)
        call(address, "DELETE", f"/connectors/{name}")
    drop_slot(database_url, slot)


def drop_slot(database_url, slot):
    # A slot can be dropped only from its own database, and only when nobody reads it.
    for database in sql(database_url, f"SELECT database FROM pg_replication_slots WHERE slot_name = '{slot}'"):
        own = with_database(database_url, database)
        free = f"SELECT 1 FROM pg_replication_slots WHERE slot_name = '{slot}' AND active"
        if not wait(lambda: not sql(own, free), 5):
            sql(own, f"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{slot}'")
            wait_or_fail(lambda: not sql(own, free), 10, f"replication slot {slot} to be free")
        sql(own, f"SELECT pg_drop_replication_slot('{slot}')")
