#!/usr/bin/env python3
"""What the center's tests ask of Kafka, in one process a question.

usage: topics.py BROKER create PARTITIONS TOPIC... [KEY=VALUE...]
       topics.py BROKER delete TOPIC...
       topics.py BROKER group-delete GROUP
       topics.py BROKER dump TOPIC...              every record, one JSON object a line
       topics.py BROKER cut TOPIC:PARTITION:OFFSET...   drops the records below, as retention does
       topics.py BROKER expire MS TOPIC...         sets retention and segments to so many ms, waits until all there is has gone
       topics.py BROKER keep TOPIC...              takes that back
"""

import json
import struct
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "stack"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "real"))
import kafka as real  # noqa: E402
from stacklib import kafka  # noqa: E402
from stacklib.common import wait_or_fail  # noqa: E402
from stacklib.wire import Kafka, KafkaError, array, string  # noqa: E402

DELETE_RECORDS = 21
EXPIRES_WITHIN_S = 60


def run(broker, verb, *words):
    if verb == "create":
        topics = [word for word in words[1:] if "=" not in word]
        config = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        for topic in topics:
            kafka.create_topic(broker, topic, int(words[0]), config)
    elif verb == "delete":
        for topic in words:
            kafka.delete_topic(broker, topic)
    elif verb == "group-delete":
        real.run(broker, verb, *words)
    elif verb == "dump":
        with Kafka(broker) as client:
            for topic in words:
                for record in client.records(topic):
                    print(json.dumps(record))
    elif verb == "cut":
        with Kafka(broker) as client:
            for topic, partition, offset in (word.rsplit(":", 2) for word in words):
                cut(client, topic, int(partition), int(offset))
    elif verb == "expire":
        with Kafka(broker) as client:
            for topic in words[1:]:
                client.configure_topic(topic, {"retention.ms": words[0], "segment.ms": words[0]})
            for topic in words[1:]:
                wait_or_fail(lambda: is_empty(client, topic), EXPIRES_WITHIN_S,
                             f"retention of {topic} (the broker's log.retention.check.interval.ms has to be short)")
    elif verb == "keep":
        with Kafka(broker) as client:
            for topic in words:
                client.configure_topic(topic, {"retention.ms": None, "segment.ms": None})
    else:
        sys.exit(__doc__)


def is_empty(client, topic):
    return all(client.offset(topic, partition, -2) == client.offset(topic, partition, -1)
               for partition in client.partitions()[topic])


def cut(client, topic, partition, offset):
    places = array([string(topic) + array([struct.pack(">iq", partition, offset)])])
    answer = client.call(DELETE_RECORDS, 0, places + struct.pack(">i", 10_000))
    answer.number("i")

    def one():
        return answer.number("i"), answer.number("q"), answer.number("h")
    for _, cuts in answer.array(lambda: (answer.string(), answer.array(one))):
        for _, _, code in cuts:
            if code:
                raise KafkaError(code, f"records of {topic}-{partition} not dropped")


if __name__ == "__main__":
    run(*sys.argv[1:])
