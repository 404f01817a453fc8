"""One Kafka broker that is its own controller (KRaft), with the topics edgefeed reads."""

import base64
import shutil
import signal
import subprocess
import uuid

from .common import Failure, Process, java, wait_or_fail
from .wire import TOPIC_EXISTS, UNKNOWN_TOPIC, Kafka, KafkaError

PARTITIONS = 4
# The change streams are kept for good: a new node reads them from their first record.
TOPICS = {"events": {}, **{f"cdc.{table}": {"retention.ms": "-1"}
                           for table in ("posts", "follows", "comments", "likes", "blocks", "users")}}


def configuration(state):
    listener, controller = state.port("kafka"), state.port("kafka_controller")
    return {
        "process.roles": "broker,controller", "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{listener},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{listener}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": state.dir / "kafka/data",
        # The broker's clock, not the producer's, dates a record: what edgefeed asks of its topics.
        "log.message.timestamp.type": "LogAppendTime",
        "auto.create.topics.enable": "false", "num.partitions": PARTITIONS, "default.replication.factor": 1,
        "offsets.topic.replication.factor": 1, "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1, "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1, "share.coordinator.state.topic.min.isr": 1,
        # A consumer group forms at once instead of waiting 3 s for more members.
        "group.initial.rebalance.delay.ms": 0,
        # The tests of the sink let a dead member go after less than the 6 s that brokers insist on by default.
        "group.min.session.timeout.ms": 1000,
        # A broker that was killed may come back as soon as the controller has missed it: 2 s instead of 9.
        "broker.session.timeout.ms": 2000, "broker.heartbeat.interval.ms": 500,
        # A retention that a test gives its topics is kept to the second, from the broker's start on; without one nothing goes,
        # however old the times that a test writes.
        "log.retention.check.interval.ms": 500, "log.initial.task.delay.ms": 500, "log.retention.ms": -1,
        # Small: the defaults would take a quarter of the heap.
        "log.cleaner.dedupe.buffer.size": 8 << 20, "num.network.threads": 2, "num.io.threads": 4,
    }


def up(state):
    home = state.dir / "kafka"
    home.mkdir(exist_ok=True)
    file = home / "server.properties"
    file.write_text("".join(f"{key}={value}\n" for key, value in configuration(state).items()))
    if not (home / "data/meta.properties").exists():
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if cluster.startswith("-"):  # StorageTool would take it for an option
            cluster = "A" + cluster[1:]
        done = subprocess.run(
            java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(file), heap="128m"),
            capture_output=True, text=True)
        if done.returncode:
            shutil.rmtree(home / "data", ignore_errors=True)
            raise Failure(f"formatting Kafka's storage failed:\n{done.stdout}{done.stderr}")
    start(state)
    address = f"127.0.0.1:{state.port('kafka')}"
    create_topics(address)
    return {"EDGEFEED_TEST_KAFKA": address}


def start(state):
    file = state.dir / "kafka/server.properties"
    if not file.exists():
        raise Failure(f"no Kafka was ever started in {state.dir}")
    process = Process(state, "kafka")
    if process.pid() is None:
        process.start(java("kafka.Kafka", str(file), heap="512m", options=["-Xms128m"]))
    address = f"127.0.0.1:{state.port('kafka')}"

    def answers():
        # It takes connections before it is registered as a broker; then it lists itself and leads its partitions.
        try:
            with Kafka(address, timeout=2) as kafka:
                return kafka.has_broker() and all(kafka.partitions().values())
        except (OSError, EOFError):
            return False

    process.wait_ready(answers, 60)


def stop(state, kill=False):
    Process(state, "kafka").stop(signal.SIGKILL if kill else signal.SIGTERM, timeout=30)


def down(state, keep):
    stop(state, kill=not keep)


def create_topics(address):
    for name, config in TOPICS.items():
        create_topic(address, name, PARTITIONS, config)


def create_topic(address, name, partitions, config):
    """Makes a topic and waits until each partition has a leader. One that is there already is left as it is."""
    with Kafka(address) as kafka:
        def make():
            # A topic deleted a moment ago may still be listed as existing while it goes.
            try:
                kafka.create_topic(name, partitions, config)
            except KafkaError as error:
                if error.code != TOPIC_EXISTS:
                    raise Failure(str(error)) from None
            return len(kafka.partitions().get(name, [])) >= 1
        wait_or_fail(make, 15, f"topic {name}")
        have = lambda: len(kafka.partitions().get(name, []))
        wait_or_fail(lambda: have() >= partitions, 15, f"{partitions} partitions of {name} (there are {have()})")


def delete_topic(address, name):
    with Kafka(address) as kafka:
        try:
            kafka.delete_topic(name)
        except KafkaError as error:
            if error.code != UNKNOWN_TOPIC:
                raise Failure(str(error)) from None
        wait_or_fail(lambda: name not in kafka.partitions(), 15, f"topic {name} to be gone")
