"""As much of Kafka's wire protocol as the tests need: topics made and deleted, offsets, records read back byte for byte.

Why not Kafka's own command line tools: each call starts a JVM, two seconds a time, and they print records as text in
which a null cannot be told from the word. The versions used are the oldest that Kafka 4 still speaks, because those need
none of the later compact encodings. Layouts: https://kafka.apache.org/protocol
"""

import socket
import struct

FETCH, LIST_OFFSETS, METADATA, CREATE_TOPICS, DELETE_TOPICS, ALTER_CONFIGS = 1, 2, 3, 19, 20, 44
ERRORS = {3: "no such topic or partition", 6: "not the leader", 17: "invalid topic name", 36: "topic exists already",
          37: "invalid partitions", 40: "invalid configuration"}
UNKNOWN_TOPIC, TOPIC_EXISTS = 3, 36


class KafkaError(Exception):
    def __init__(self, code, what, detail=None):
        super().__init__(f"Kafka: {what}: {detail or ERRORS.get(code, f'error {code}')}")
        self.code = code


def string(text):
    if text is None:
        return struct.pack(">h", -1)
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise EOFError
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))[0]

    def string(self):
        length = self.number("h")
        return None if length < 0 else self.take(length).decode()

    def array(self, read):
        return [read() for _ in range(self.number("i"))]

    def varint(self):
        result = shift = 0
        while True:
            byte = self.take(1)[0]
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (result >> 1) ^ -(result & 1)

    def varbytes(self):
        length = self.varint()
        return None if length < 0 else self.take(length)


class Kafka:
    """One connection to one broker, which must be the leader of all partitions (the test stack has one broker)."""

    def __init__(self, address, timeout=10):
        host, _, port = address.split(",")[0].rpartition(":")
        try:
            self.socket = socket.create_connection((host, int(port)), timeout)
        except OSError as error:
            raise ConnectionError(f"no Kafka at {address}: {error.strerror or error}") from None
        self.correlation = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def receive(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError("Kafka closed the connection")
            data += part
        return data

    def call(self, api, version, body):
        self.correlation += 1
        message = struct.pack(">hhi", api, version, self.correlation) + string("edgefeed-stack") + body
        self.socket.sendall(struct.pack(">i", len(message)) + message)
        answer = Reader(self.receive(struct.unpack(">i", self.receive(4))[0]))
        assert answer.number("i") == self.correlation
        return answer

    def partitions(self):
        """{topic: [its partitions that have a leader]}"""
        return self.metadata()[1]

    def has_broker(self):
        return bool(self.metadata()[0])

    def metadata(self):
        answer = self.call(METADATA, 4, struct.pack(">i?", -1, False))
        answer.number("i")
        brokers = answer.array(lambda: (answer.number("i"), answer.string(), answer.number("i"), answer.string()))
        answer.string(), answer.number("i")

        def partition():
            error, index, leader = answer.number("h"), answer.number("i"), answer.number("i")
            answer.array(lambda: answer.number("i")), answer.array(lambda: answer.number("i"))
            return index if error == 0 and leader >= 0 else None

        def topic():
            answer.number("h")
            name = answer.string()
            answer.number("b")
            return name, sorted(index for index in answer.array(partition) if index is not None)

        return brokers, dict(answer.array(topic))

    def create_topic(self, name, partitions, config):
        settings = array([string(key) + string(value) for key, value in config.items()])
        topic = string(name) + struct.pack(">ih", partitions, 1) + array([]) + settings
        answer = self.call(CREATE_TOPICS, 4, array([topic]) + struct.pack(">i?", 10_000, False))
        answer.number("i")
        for _, code, detail in answer.array(lambda: (answer.string(), answer.number("h"), answer.string())):
            if code:
                raise KafkaError(code, f"topic {name} not made", detail)

    def delete_topic(self, name):
        answer = self.call(DELETE_TOPICS, 3, array([string(name)]) + struct.pack(">i", 10_000))
        answer.number("i")
        for _, code in answer.array(lambda: (answer.string(), answer.number("h"))):
            if code:
                raise KafkaError(code, f"topic {name} not deleted")

    def configure_topic(self, name, config):
        """Sets some settings of a topic; those that are None are the broker's again."""
        topic, set_to, delete = 2, 0, 1
        settings = array([string(key) + struct.pack(">b", delete if value is None else set_to) + string(value)
                          for key, value in config.items()])
        resource = struct.pack(">b", topic) + string(name) + settings
        answer = self.call(ALTER_CONFIGS, 0, array([resource]) + struct.pack(">?", False))
        answer.number("i")
        for code, detail, _, _ in answer.array(
                lambda: (answer.number("h"), answer.string(), answer.number("b"), answer.string())):
            if code:
                raise KafkaError(code, f"topic {name} not configured", detail)

    def offset(self, topic, partition, when):
        """The first offset (when = -2) or the one after the last (when = -1)."""
        body = struct.pack(">ib", -1, 0) + array([string(topic) + array([struct.pack(">iq", partition, when)])])
        answer = self.call(LIST_OFFSETS, 2, body)
        answer.number("i")

        def one():
            _, code, _, offset = answer.number("i"), answer.number("h"), answer.number("q"), answer.number("q")
            if code:
                raise KafkaError(code, f"offsets of {topic}-{partition}")
            return offset

        return answer.array(lambda: (answer.string(), answer.array(one)))[0][1][0]

    def fetch(self, topic, partition, offset):
        body = struct.pack(">iiiib", -1, 100, 1, 50 << 20, 0) + array(
            [string(topic) + array([struct.pack(">iqi", partition, offset, 50 << 20)])])
        answer = self.call(FETCH, 4, body)
        answer.number("i")

        def one():
            _, code, _, _ = answer.number("i"), answer.number("h"), answer.number("q"), answer.number("q")
            answer.array(lambda: (answer.number("q"), answer.number("q")))
            records = answer.take(max(answer.number("i"), 0))
            if code:
                raise KafkaError(code, f"records of {topic}-{partition}")
            return records

        return answer.array(lambda: (answer.string(), answer.array(one)))[0][1][0]

    def records(self, topic):
        """All that is in a topic now, partition by partition, as dicts; key and value as text or None."""
        for partition in self.partitions().get(topic, []):
            offset, end = self.offset(topic, partition, -2), self.offset(topic, partition, -1)
            while offset < end:
                for record in decode(self.fetch(topic, partition, offset)):
                    if offset <= record["offset"]:
                        yield {"topic": topic, "partition": partition, **record}
                        offset = record["offset"] + 1


def decode(data):
    """The records of a fetch answer's batches; an unfinished batch at its end is left for the next fetch."""
    reader = Reader(data)
    while reader.at < len(data):
        try:
            base = reader.number("q")
            batch = Reader(reader.take(reader.number("i")))
        except EOFError:
            return
        batch.take(4 + 1 + 4)  # leader epoch, magic, checksum
        attributes, _, first, newest = batch.number("h"), batch.number("i"), batch.number("q"), batch.number("q")
        batch.take(8 + 2 + 4)  # producer id and epoch, sequence
        if attributes & 7:
            raise KafkaError(-1, "reading records", "compressed batches are not supported here")
        count = batch.number("i")
        if attributes & 32:  # a transaction marker
            continue
        for _ in range(count):
            record = Reader(batch.take(batch.varint()))
            record.take(1)
            time = first + record.varint()
            offset = base + record.varint()
            key, value = record.varbytes(), record.varbytes()
            headers = {}
            for _ in range(record.varint()):
                name = record.varbytes().decode()
                headers[name] = text(record.varbytes())
            yield {"offset": offset, "timestamp": newest if attributes & 8 else time,
                   "key": text(key), "value": text(value), "headers": headers}


def text(data):
    return None if data is None else data.decode()
