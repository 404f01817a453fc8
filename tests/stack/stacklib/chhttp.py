"""ClickHouse's HTTP interface over the engine: what its clients send, and what they get back.

One thread per connection, because clients keep idle ones; the engine bounds how many queries run at once."""

import base64
import hmac
import json
import re
import sys
import tempfile
import threading
import traceback
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from . import chcodec, chsql
from .chengine import STATUS
from .chsql import SqlError

PIECE = 256 << 10
LONGEST_QUERY = 1 << 20  # the engine refuses more than its max_query_size, 256 KB, unless that is raised
IN_MEMORY = 256 << 10  # a body up to this size never sees a disk, except as an INSERT's data
NOT_SETTINGS = {"query", "database", "default_format", "user", "password", "quota_key", "role", "query_id", "compress",
                "decompress", "stacktrace", "buffer_size", "wait_end_of_query", "client_protocol_version"}


class Gone(Exception):
    """The client went away in the middle of its request."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, engine, scratch, password, connections=256):
        self.engine, self.scratch, self.password = engine, scratch, password
        self.connections = threading.BoundedSemaphore(connections)
        super().__init__(("127.0.0.1", port), Handler)

    def process_request(self, request, client_address):
        self.connections.acquire()  # more wait in the listen queue
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.release()

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):  # a client that broke the connection off is no news
            traceback.print_exc()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30  # of an idle connection and of a stalled body, as in ClickHouse

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = urlsplit(self.path).path
        if path in ("/ping", "/replicas_status") or path == "/" and not urlsplit(self.path).query:
            self.answer(200, b"Ok.\n")
        else:
            self.do_POST()

    do_HEAD = do_GET

    def do_POST(self):
        url = urlsplit(self.path)
        # The whole body first, whatever it is: when it does not arrive to its end nothing is done at all.
        with tempfile.SpooledTemporaryFile(IN_MEMORY, dir=self.server.scratch) as body:
            try:
                arguments = dict(parse_qsl(url.query, keep_blank_values=True))
                for piece in self.decoded(arguments):
                    body.write(piece)
            except (Gone, OSError):
                self.close_connection = True
                return
            except (ValueError, RuntimeError) as error:  # damaged packing; what is left of the body is not read
                self.close_connection = True
                return self.refuse(SqlError(271, f"Cannot decompress: {error}. (CANNOT_DECOMPRESS)"))
            try:
                self.check_password(arguments)
                if url.path != "/":
                    return self.answer(404, f"There is no handle {url.path}\n".encode())
                with self.server.engine.slots:  # until the answer is out: an orderly stop waits for that
                    self.query(arguments, body)
            except SqlError as error:
                self.refuse(error)
            except Exception as error:  # a mistake here must not look like a lost connection
                traceback.print_exc()
                self.refuse(SqlError(1002, f"the tests' server: {error!r}. (UNKNOWN_EXCEPTION)"))

    # -- the request

    def pieces(self):
        """The body as it was sent."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while True:
                line = self.rfile.readline(1024)
                if not re.match(rb"[0-9A-Fa-f]{1,8}\s*(;.*)?\r?\n", line):
                    raise Gone
                left = int(line.split(b";")[0], 16)
                if not left:
                    while self.rfile.readline(8192) not in (b"\r\n", b"\n", b""):
                        pass
                    return
                yield from self.exactly(left)
                if self.rfile.readline(8) not in (b"\r\n", b"\n"):
                    raise Gone
        yield from self.exactly(int(self.headers.get("Content-Length") or 0))

    def exactly(self, left):
        while left:
            piece = self.rfile.read(min(left, PIECE))
            if not piece:
                raise Gone
            left -= len(piece)
            yield piece

    def decoded(self, arguments):
        pieces = self.pieces()
        encoding = self.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding in chcodec.DECODERS:
            pieces = chcodec.DECODERS[encoding](pieces)
        elif encoding != "identity":
            raise ValueError(f"Content-Encoding {encoding} is not known here")
        return chcodec.unpack_blocks(pieces) if arguments.get("decompress") == "1" else pieces

    def check_password(self, arguments):
        """Any user and any password, unless the server was given one."""
        if self.server.password is None:
            return
        scheme, _, basic = self.headers.get("Authorization", "").partition(" ")
        try:
            basic = base64.b64decode(basic).decode().partition(":")[2] if scheme.lower() == "basic" else None
        except ValueError:
            basic = None
        said = self.headers.get("X-ClickHouse-Key") or basic or arguments.get("password") or ""
        if not hmac.compare_digest(said.encode(), self.server.password.encode()):
            raise SqlError(516, "default: Authentication failed: password is incorrect, or there is no user with such "
                                "name. (AUTHENTICATION_FAILED)")

    # -- the query

    def query(self, arguments, body):
        if any(name.startswith("session_") and name != "session_timezone" for name in arguments):
            raise SqlError(48, "HTTP sessions are not supported by the tests' server. (NOT_IMPLEMENTED)")
        body.seek(0)
        content_type = self.headers.get("Content-Type", "")
        if content_type.startswith("multipart/form-data"):
            arguments.update(multipart(content_type, body.read(LONGEST_QUERY)))
            body.truncate(0)
            body.seek(0)
        settings = {name: value for name, value in arguments.items()
                    if name not in NOT_SETTINGS and not name.startswith("param_")}
        if self.command != "POST":
            settings["readonly"] = "2"
        how = {"form": arguments.get("default_format") or self.headers.get("X-ClickHouse-Format") or "TabSeparated",
               "database": arguments.get("database") or self.headers.get("X-ClickHouse-Database"),
               "settings": settings,
               "params": {name[6:]: value for name, value in arguments.items() if name.startswith("param_")}}

        # The query is what the URL has, a new line, and the body; an INSERT's data goes on from there.
        prefix = arguments["query"].encode() + b"\n" if arguments.get("query") else b""
        head = prefix + body.read(LONGEST_QUERY)
        insert = chsql.parse_insert(head)
        if insert:
            result = self.insert(insert, head, len(prefix), body, how)
        else:
            if body.read(1):
                raise SqlError(62, f"the query is longer than {LONGEST_QUERY} bytes. (SYNTAX_ERROR)")
            chsql.refuse_several(head)
            try:
                sql = head.decode()
            except UnicodeDecodeError:
                raise SqlError(62, "Syntax error: the query is not UTF-8. (SYNTAX_ERROR)") from None
            result = self.server.engine.run(sql, **how)
        self.send_result(result, arguments)

    def insert(self, insert, head, prefix, body, how):
        if insert.data_at == prefix:  # the usual case: the query in the URL, nothing but data in the body
            body.rollover()
            return self.insert_file(insert, body, how)
        # Bytes of the data that come with the query, and then the rest.
        with tempfile.TemporaryFile(dir=self.server.scratch) as data:
            data.write(head[insert.data_at:])
            while piece := body.read(PIECE):
                data.write(piece)
            return self.insert_file(insert, data, how)

    def insert_file(self, insert, file, how):
        file.flush()
        # A file without a name, which cannot be left behind; the engine, in this process, opens it by its number.
        return self.server.engine.run(insert.from_file(f"/proc/self/fd/{file.fileno()}"), **how)

    # -- the answer

    def send_result(self, result, arguments):
        data = result.bytes()
        summary = {"read_rows": result.storage_rows_read() or result.rows_read(),
                   "read_bytes": result.storage_bytes_read() or result.bytes_read(), "result_rows": result.rows_read(),
                   "written_rows": result.rows_written(), "written_bytes": result.bytes_written(),
                   "elapsed_ns": int(result.elapsed() * 1e9)}
        headers = {"X-ClickHouse-Summary": json.dumps({name: str(value) for name, value in summary.items()}),
                   "X-ClickHouse-Query-Id": arguments.get("query_id") or str(uuid.uuid4()),
                   "X-ClickHouse-Timezone": self.server.engine.zone, "X-ClickHouse-Server-Display-Name": "edgefeed-stack"}
        wanted = {word.split(";")[0].strip() for word in self.headers.get("Accept-Encoding", "").lower().split(",")}
        encoding = next((name for name in chcodec.ENCODERS if name in wanted), None)
        if arguments.get("compress") == "1":
            data = b"".join(chcodec.pack_blocks(data))
        elif data and encoding and arguments.get("enable_http_compression", "1") == "1":
            data = chcodec.ENCODERS[encoding](data)
            headers["Content-Encoding"] = encoding
        self.answer(200, data, headers)

    def refuse(self, error):
        # The words "(version ... )" end ClickHouse's messages, and clients look for them.
        print(f"refused {error.code}: {str(error)[:300]!r}", flush=True)
        text = f"Code: {error.code}. DB::Exception: {error} (version {self.server.engine.version} (chdb build))\n"
        self.answer(STATUS.get(error.code, 500), text.encode(), {"X-ClickHouse-Exception-Code": str(error.code)})

    def answer(self, status, data, headers=()):
        try:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=UTF-8")
            self.send_header("Content-Length", str(len(data)))
            for name, value in dict(headers).items():
                self.send_header(name, value)
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)
        except OSError:
            self.close_connection = True


def multipart(content_type, data):
    """The fields of a form: the query and its parameters, byte for byte."""
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    fields = {}
    for part in (b"\r\n" + data).split(b"\r\n--" + found.group(1).encode())[1:] if found else []:
        if part.startswith(b"--"):
            return fields
        head, _, value = part.partition(b"\r\n\r\n")
        name = re.search(rb'\bname="([^"]*)"', head)
        name = name.group(1).decode() if name else ""
        if name != "query" and not name.startswith("param_"):
            raise SqlError(48, f"form field {name}: external tables are not supported by the tests' server. "
                               "(NOT_IMPLEMENTED)")
        fields[name] = value.decode()
    raise SqlError(36, "the form has no end. (BAD_ARGUMENTS)")
