#!/usr/bin/env python3
"""A ClickHouse server for the tests: the engine of chdb-core (ClickHouse 26.9 as a library) behind ClickHouse's HTTP
interface, on loopback. `stack` starts it with the Python that install.sh prepared.

usage: clickhouse.py PORT DATA_DIR SCRATCH_DIR

TZ is the server's zone. With EDGEFEED_STACK_CLICKHOUSE_PASSWORD set, clients must give that password.
SIGTERM ends it in order: queries under way come to their end.
"""

import os
import signal
import sys
import threading
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from stacklib.chengine import Engine  # noqa: E402
from stacklib.chhttp import Server  # noqa: E402

QUERIES_AT_ONCE = 16


def main(port, data, scratch):
    for directory in (data, scratch):
        Path(directory).mkdir(parents=True, exist_ok=True)
    engine = Engine(data, QUERIES_AT_ONCE)
    server = Server(int(port), engine, scratch, os.environ.get("EDGEFEED_STACK_CLICKHOUSE_PASSWORD"))
    # shutdown() waits for serve_forever(), which this thread is in.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(f"ClickHouse {engine.version} on 127.0.0.1:{port}, zone {engine.zone}, data in {data}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    sound = engine.close(timeout=15)
    print("stopped" if sound else "stopped with queries still running", flush=True)
    os._exit(0)  # idle connections' threads would be waited for, and the library has nothing left to say


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__.strip())
    main(*sys.argv[1:])
