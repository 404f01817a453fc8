#!/usr/bin/env python3
"""The tests' ClickHouse server keeps the promises that the tests of edgefeed stand on. Takes a few seconds; needs install.sh."""

import http.client
import os
import shutil
import socket
import struct
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from urllib.parse import quote, urlencode

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from stacklib import clickhouse  # noqa: E402
from stacklib.common import State  # noqa: E402

if __name__ == "__main__" and Path(sys.prefix) != clickhouse.PYTHON.parent.parent:
    os.execv(clickhouse.PYTHON, [str(clickhouse.PYTHON), *sys.argv])  # the one that has the codecs
import lz4.frame  # noqa: E402

from stacklib import chcodec, chsql  # noqa: E402

WINDOW = "SETTINGS non_replicated_deduplication_window = 1000"
EXACTLY_ONCE = {"async_insert": 0, "insert_deduplicate": 1, "deduplicate_blocks_in_dependent_materialized_views": 1}


class Answer(Exception):
    def __init__(self, status, headers, body):
        super().__init__(f"{status}: {body[:300]!r}")
        self.status, self.headers, self.body = status, headers, body


class Client:
    """One kept-alive connection."""

    def __init__(self, state):
        self.connection = http.client.HTTPConnection("127.0.0.1", state.port("clickhouse"), timeout=30)

    def call(self, body=b"", headers=None, method="POST", **arguments):
        self.connection.request(method, "/?" + urlencode(arguments, quote_via=quote), body=body, headers=headers or {},
                                encode_chunked=not isinstance(body, bytes))
        response = self.connection.getresponse()
        answer = Answer(response.status, dict(response.getheaders()), response.read())
        if answer.status != 200:
            raise answer
        return answer

    def sql(self, text, **arguments):
        return self.call(text.encode(), **arguments).body.decode().rstrip("\n")


def rows(*pairs):
    """RowBinary of (UInt64, String)."""
    return b"".join(struct.pack("<QB", number, len(text)) + text for number, text in pairs)


class Test(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.state = State(tempfile.mkdtemp())
        cls.state.create()
        cls.addClassCleanup(shutil.rmtree, cls.state.dir)
        cls.addClassCleanup(clickhouse.down, cls.state, keep=False)
        clickhouse.up(cls.state)

    def setUp(self):
        self.client = Client(self.state)
        self.addCleanup(self.client.connection.close)
        self.sql = self.client.sql
        for kind, name in (("VIEW", "v"), ("TABLE", "t"), ("TABLE", "sums")):
            self.sql(f"DROP {kind} IF EXISTS {name} SYNC")
        self.sql(f"CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a {WINDOW}")

    def insert(self, data, query="INSERT INTO t(a,b) FORMAT RowBinary", **arguments):
        return self.client.call(data, query=query, **arguments)

    def refused(self, code, status, call, *arguments, **named):
        with self.assertRaises(Answer) as caught:
            call(*arguments, **named)
        answer = caught.exception
        self.assertEqual((answer.headers.get("X-ClickHouse-Exception-Code"), answer.status), (str(code), status), answer)
        self.assertTrue(answer.body.startswith(b"Code: %d. DB::Exception: " % code), answer.body)

    def test_binary_data_is_not_cut(self):
        data = rows((1, b"\n\n"), (2, b"\0;\n\n'\\"), (3, bytes(range(100))), (4, b""))
        self.insert(data)
        self.assertEqual(self.client.call(b"SELECT a, b FROM t ORDER BY a", default_format="RowBinary").body, data)

    def test_query_in_the_url_or_ahead_of_the_data(self):
        self.insert(b"1\tx\n", "INSERT INTO t FORMAT TSV")
        self.sql("/* note */ INSERT INTO `t`(a, b) -- SELECT\nSETTINGS max_threads = 1\nFORMAT JSONEachRow\n"
                 '{"a": 2, "b": "FORMAT"}\n\n{"a": 3, "b": "z"}')
        self.sql("insert into default.t values (4, 'a;b'), (5, 'c');")
        self.insert(b"", "INSERT INTO t SELECT 6, 'six'")
        self.insert(iter([b"\x01\x01a\x06", b"UInt64" + struct.pack("<Q", 7)]), "INSERT INTO t(a) FORMAT RowBinaryWithNamesAndTypes")
        self.insert(b"INTO t FORMAT CSV\n8,eight\n", "INSERT")
        self.assertEqual(self.sql("SELECT groupArray(a), groupArray(b) FROM (SELECT * FROM t ORDER BY a)"),
                         "[1,2,3,4,5,6,7,8]\t['x','FORMAT','z','a;b','c','six','','eight']")

    def test_a_token_counts_once_in_the_view_as_well(self):
        self.sql(f"CREATE TABLE sums (b String, n UInt64) ENGINE = SummingMergeTree ORDER BY b {WINDOW}")
        self.sql("CREATE MATERIALIZED VIEW v TO sums AS SELECT b, count() AS n FROM t GROUP BY b")
        counts = lambda: self.sql("SELECT (SELECT count() FROM t), (SELECT sum(n) FROM sums)")
        data = rows((1, b"x"), (2, b"y"))
        for token in ("one", "one", "two"):  # the same rows under another token are other rows
            self.insert(data, insert_deduplication_token=token, **EXACTLY_ONCE)
        self.assertEqual(counts(), "4\t4")
        clickhouse.stop(self.state, kill=True)
        clickhouse.start(self.state)
        self.client.connection.close()
        self.insert(data, insert_deduplication_token="two", **EXACTLY_ONCE)
        self.assertEqual(counts(), "4\t4")

    def test_settings_end_with_their_query(self):
        setting = "SELECT getSetting('insert_deduplication_token'), currentDatabase()"
        self.assertEqual(self.sql(setting, insert_deduplication_token="it's", database="system"), "it\\'s\tsystem")
        self.sql("SET insert_deduplication_token = 'other'")
        self.assertEqual(self.sql(setting), "\tdefault")

    def test_parameters(self):
        query = "SELECT {a:String}, {n:UInt8} + 1"
        self.assertEqual(self.sql(query, param_a="it's", param_n=1), "it\\'s\t2")
        fields = {"query": query, "param_a": "\u00fc\\n--x", "param_n": "1"}
        form = "".join(f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
        answer = self.client.call(form.encode() + b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"})
        self.assertEqual(answer.body.decode(), "\u00fc\\n--x\t2\n")

    def test_errors(self):
        self.refused(60, 404, self.sql, "SELECT * FROM nope")
        self.refused(60, 404, self.insert, b"", "INSERT INTO nope FORMAT RowBinary")
        self.refused(81, 404, self.sql, "SELECT 1", database="nope")
        self.refused(115, 404, self.sql, "SELECT 1", no_such_setting=1)
        self.refused(62, 400, self.sql, "SELEKT 1")
        self.refused(62, 400, self.sql, "SELECT 1; SELECT 2")
        self.refused(164, 500, self.client.call, method="GET", query="DROP TABLE t")
        self.refused(159, 408, self.sql, "SELECT count() FROM numbers(1e13)", max_execution_time=0.1)
        self.refused(33, 500, self.insert, rows((1, b"cut"))[:-1])
        self.assertEqual(self.sql("SELECT count() FROM t;"), "0")

    def test_compression(self):
        data = rows(*((n, b"text\n\n") for n in range(300_000)))
        blocks = b"".join(chcodec.pack_blocks(data))
        self.insert((blocks[at:at + 70_000] for at in range(0, len(blocks), 70_000)), decompress=1)
        # Without a token the content is what makes a repetition. (insert_deduplicate = 0 has no say any more.)
        self.insert(lz4.frame.compress(data), headers={"Content-Encoding": "lz4"}, deduplicate_insert="disable")
        for damaged in (blocks[:-1], blocks[:40] + b"x" + blocks[41:]):
            self.refused(271, 500, self.insert, damaged, decompress=1)
        self.assertEqual(self.sql("SELECT count(), uniqExact(a) FROM t"), "600000\t300000")
        query = {"query": "SELECT DISTINCT a, b FROM t ORDER BY a", "default_format": "RowBinary"}
        plain = self.client.call(**query)
        self.assertEqual((plain.body, plain.headers.get("Content-Encoding")), (data, None))
        self.assertEqual(b"".join(chcodec.unpack_blocks([self.client.call(**query, compress=1).body])), data)
        framed = self.client.call(headers={"Accept-Encoding": "lz4"}, **query)
        self.assertEqual((lz4.frame.decompress(framed.body), framed.headers["Content-Encoding"]), (data, "lz4"))

    def test_the_checksum_is_the_engines(self):
        self.insert(rows((1, b"x")))
        part = Path(self.sql("SELECT path FROM system.parts WHERE active AND table = 't'"))
        self.assertTrue(b"".join(chcodec.unpack_blocks([(part / "data.bin").read_bytes()])))

    def test_a_client_that_goes_away_inserts_nothing(self):
        request = b"POST /?query=INSERT+INTO+t+FORMAT+RowBinary HTTP/1.1\r\nHost: x\r\n"
        data = rows((1, b"x"))
        for how, body in ((b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n" % (len(data), data)),
                          (b"Content-Length: %d" % (2 * len(data)), data)):
            with socket.create_connection(("127.0.0.1", self.state.port("clickhouse"))) as broken:
                broken.sendall(request + how + b"\r\n\r\n" + body)
                broken.shutdown(socket.SHUT_WR)
                self.assertEqual(broken.recv(100), b"")  # the server is done with it, without a word
        self.assertEqual(self.sql("SELECT count() FROM t"), "0")

    def test_queries_run_side_by_side(self):
        begun = time.monotonic()
        others = [Client(self.state) for _ in range(8)]
        threads = [threading.Thread(target=other.sql, args=("SELECT sleep(0.5)",)) for other in others]
        for thread in threads:
            thread.start()
        self.assertEqual(self.sql("SELECT 1"), "1")
        self.assertLess(time.monotonic() - begun, 0.5)
        for thread in threads:
            thread.join()
        for other in others:
            other.connection.close()
        self.assertLess(time.monotonic() - begun, 2)

    def test_kill_keeps_the_data_and_the_zone_can_be_chosen(self):
        self.insert(rows((1, b"x")))
        midnight = "SELECT toString(toDateTime(0)), timezone(), (SELECT count() FROM t)"
        self.assertEqual(self.sql(midnight), "1970-01-01 00:00:00\tUTC\t1")
        clickhouse.stop(self.state, kill=True)
        clickhouse.start(self.state, "Asia/Kolkata")
        self.client.connection.close()
        self.assertEqual(self.sql(midnight), "1970-01-01 05:30:00\tAsia/Kolkata\t1")
        clickhouse.stop(self.state)
        clickhouse.start(self.state)
        self.client.connection.close()
        self.assertEqual(self.sql(midnight), "1970-01-01 00:00:00\tUTC\t1")

    def test_where_an_insert_ends(self):
        for sql, data in ((b"INSERT INTO t FORMAT TSV\r\n\n", b"\n"), (b"INSERT INTO t FORMAT TSV  \t1", b"1"),
                          (b"INSERT INTO d.format (`values`, \"select\") VALUES (1)", b" (1)"),
                          (b"INSERT INTO FUNCTION f('FORMAT') SETTINGS a = 'VALUES' FORMAT X\n", b"")):
            self.assertEqual(sql[chsql.parse_insert(sql).data_at:], data, sql)
        for sql in (b"", b"SELECT 1 FORMAT TSV", b"INSERT INTO t SELECT 1 FORMAT TSV", b"INSERT INTO t WITH 1 AS x SELECT x",
                    b"INSERT INTO t (a) (SELECT 1)", b"INSERT INTO t FORMAT"):
            self.assertIsNone(chsql.parse_insert(sql), sql)


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # of processes that are left running on purpose
