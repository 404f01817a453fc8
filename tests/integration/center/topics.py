#!/usr/bin/env python3
"""What the center's tests ask of Kafka, in one process a question.

usage: topics.py BROKER create PARTITIONS TOPIC... [KEY=VALUE...]
       topics.py BROKER delete TOPIC...
       topics.py BROKER group-delete GROUP
       topics.py BROKER dump TOPIC...              every record, one JSON object a line
"""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "stack"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "real"))
import kafka as real  # noqa: E402
from stacklib import kafka  # noqa: E402
from stacklib.wire import Kafka  # noqa: E402


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
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    run(*sys.argv[1:])
