"""One ClickHouse server: the program ../clickhouse.py, run by the Python that install.sh prepared."""

import http.client
import os
import shutil
import signal

from .common import HERE, HOME, Failure, Process

PYTHON = HOME / "clickhouse/bin/python"


def up(state):
    (state.dir / "clickhouse").mkdir(exist_ok=True)
    start(state)
    return {"EDGEFEED_TEST_CLICKHOUSE": f"http://127.0.0.1:{state.port('clickhouse')}"}


def start(state, zone=None):
    """Starts it, in UTC unless another zone is named. One that runs in another zone than the named one is started again."""
    home = state.dir / "clickhouse"
    if not home.is_dir():
        raise Failure(f"no ClickHouse was ever started in {state.dir}")
    if not PYTHON.exists():
        raise Failure(f"ClickHouse is not in {HOME}; run {HERE / 'install.sh'}")
    if zone and not os.path.isfile(f"/usr/share/zoneinfo/{zone}") and os.path.isdir("/usr/share/zoneinfo"):
        raise Failure(f"no such time zone: {zone}")  # the engine would silently take UTC
    process, port = Process(state, "clickhouse"), state.port("clickhouse")
    if zone and process.pid() and state.get("clickhouse_zone") != zone:
        stop(state)
    if process.pid() is None:
        state.set(clickhouse_zone=zone or "UTC")
        process.start([PYTHON, HERE / "clickhouse.py", str(port), home / "data", home / "scratch"],
                      env={**os.environ, "TZ": zone or "UTC"})
    process.wait_ready(lambda: answers(port), 30)


def answers(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def stop(state, kill=False):
    Process(state, "clickhouse").stop(signal.SIGKILL if kill else signal.SIGTERM)


def down(state, keep):
    stop(state, kill=not keep)
    if not keep:
        shutil.rmtree(state.dir / "clickhouse", ignore_errors=True)
