#!/usr/bin/env python3
"""What the tests ask of Kafka beside the verbs of tests/stack/stack, in one process a question.

usage: kafka.py BROKER topics PREFIX               PREFIX.events, PREFIX.posts, ... as the stack makes its own
       kafka.py BROKER topics-delete PREFIX        all of them at once
       kafka.py BROKER dump PREFIX                 every record of those, one JSON object a line
       kafka.py BROKER grow TOPIC PARTITIONS       adds partitions
       kafka.py BROKER commit GROUP TOPIC OFFSET   what a group's member would commit, for each partition
       kafka.py BROKER groups                      the consumer groups there are
       kafka.py BROKER group-delete GROUP          prints whether there was one
"""

import json
import struct
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "stack"))
from stacklib import kafka  # noqa: E402
from stacklib.common import wait_or_fail  # noqa: E402
from stacklib.wire import Kafka, KafkaError, array, string  # noqa: E402

OFFSET_COMMIT, FIND_COORDINATOR, LIST_GROUPS, CREATE_PARTITIONS, DELETE_GROUPS = 8, 10, 16, 37, 42
NOT_YET = (14, 15, 16)  # the coordinator is loading, not there yet, or elsewhere
NO_SUCH_GROUP = 69


def names(prefix):
    return {f"{prefix}.{name.removeprefix('cdc.')}": config for name, config in kafka.TOPICS.items()}


def grow(client, topic, count):
    body = array([string(topic) + struct.pack(">ii", int(count), -1)]) + struct.pack(">i?", 10_000, False)
    answer = client.call(CREATE_PARTITIONS, 0, body)
    answer.number("i")
    for _, code, detail in answer.array(lambda: (answer.string(), answer.number("h"), answer.string())):
        if code:
            raise KafkaError(code, f"partitions of {topic} not added", detail)
    wait_or_fail(lambda: len(client.partitions()[topic]) == int(count), 15, f"{count} partitions of {topic}")


def settled(ask):
    """Asks a coordinator, which may still be on its way up, until it has an answer."""
    codes = []

    def answered():
        codes[:] = ask()
        return not any(code in NOT_YET for code in codes)
    wait_or_fail(answered, 15, "the group's coordinator")
    return codes


def commit(client, group, topic, offset):
    find = client.call(FIND_COORDINATOR, 0, string(group))  # makes the topic of offsets when there is none
    del find
    places = [struct.pack(">iq", partition, int(offset)) + string("") for partition in client.partitions()[topic]]
    body = string(group) + struct.pack(">i", -1) + string("") + struct.pack(">q", -1)

    def ask():
        answer = client.call(OFFSET_COMMIT, 2, body + array([string(topic) + array(places)]))
        one = lambda: (answer.number("i"), answer.number("h"))[1]
        return answer.array(lambda: (answer.string(), answer.array(one)))[0][1]
    for code in settled(ask):
        if code:
            raise KafkaError(code, f"{group} committed nothing")


def groups(client):
    answer = client.call(LIST_GROUPS, 0, b"")
    if code := answer.number("h"):
        raise KafkaError(code, "groups not listed")
    return [name for name, _ in answer.array(lambda: (answer.string(), answer.string()))]


def group_delete(client, group):
    def ask():
        answer = client.call(DELETE_GROUPS, 0, array([string(group)]))
        answer.number("i")
        return answer.array(lambda: (answer.string(), answer.number("h"))[1])
    (code,) = settled(ask)
    if code not in (0, NO_SUCH_GROUP):
        raise KafkaError(code, f"{group} not deleted")
    return code == 0


def run(broker, verb, *words):
    if verb == "topics":
        for name, config in names(*words).items():
            kafka.create_topic(broker, name, kafka.PARTITIONS, config)
        return
    with Kafka(broker) as client:
        if verb == "topics-delete":
            for name in names(*words):
                client.delete_topic(name)
        elif verb == "dump":
            for name in names(*words):
                for record in client.records(name):
                    print(json.dumps(record))
        elif verb == "grow":
            grow(client, *words)
        elif verb == "commit":
            commit(client, *words)
        elif verb == "groups":
            print("\n".join(groups(client)))
        elif verb == "group-delete":
            print("deleted" if group_delete(client, *words) else "none")
        else:
            sys.exit(__doc__)


if __name__ == "__main__":
    run(*sys.argv[1:])
