"""State directory, processes, ports and bounded waits: what every part of the stack needs."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path


class Failure(Exception):
    """Something the user should read, without a stack trace."""


HERE = Path(__file__).resolve().parent.parent
REPOSITORY = HERE.parent.parent
HOME = Path(os.environ.get("EDGEFEED_STACK_HOME") or Path.home() / ".cache/edgefeed/stack")


class State:
    """DIR: state.json (ports and the like), pids/NAME (one per process started), log/NAME.log, env."""

    def __init__(self, directory):
        self.dir = Path(directory).resolve()

    def create(self):
        for sub in ("pids", "log"):
            (self.dir / sub).mkdir(parents=True, exist_ok=True)

    def exists(self):
        return (self.dir / "pids").is_dir()

    def all(self):
        try:
            return json.loads((self.dir / "state.json").read_text())
        except FileNotFoundError:
            return {}

    def get(self, key):
        return self.all().get(key)

    def set(self, **values):
        content = {**self.all(), **values}
        new = self.dir / "state.json.new"
        new.write_text(json.dumps(content, indent=2) + "\n")
        new.rename(self.dir / "state.json")

    def log(self, name):
        return self.dir / "log" / f"{name}.log"

    def port(self, name):
        """The port of a part: chosen once, kept for as long as DIR lives."""
        key = f"{name}_port"
        if self.get(key) is None:
            self.set(**{key: free_port(taken=[v for k, v in self.all().items() if k.endswith("_port")])})
        return self.get(key)


def free_port(taken=()):
    """A free loopback port below the range that the kernel hands to outgoing connections (32768 and up): a port in that
    range could be taken by any client while the broker is stopped, and kafka-start promises the same port."""
    for _ in range(200):
        port = random.randrange(20000, 32000)
        if port in taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Failure("found no free loopback port between 20000 and 32000")


def start_ticks(pid):
    """When a process started, in clock ticks since boot; None when it is gone or a zombie. A pid alone may have been given
    to another process since; pid and start time together may not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


class Process:
    """A process this stack started, known by its line in DIR/pids."""

    def __init__(self, state, name):
        self.state, self.name = state, name
        self.file = state.dir / "pids" / name

    def pid(self):
        """Its pid while it runs, else None."""
        try:
            pid, ticks = map(int, self.file.read_text().split())
        except (FileNotFoundError, ValueError):
            return None
        return pid if start_ticks(pid) == ticks else None

    def start(self, command, **popen):
        """Starts it apart from us: in a session of its own, so that it outlives this command and a Ctrl-C in a test."""
        with open(self.state.log(self.name), "ab") as log:
            child = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, **popen)
        self.file.write_text(f"{child.pid} {start_ticks(child.pid) or 0}\n")

    def stop(self, sig=signal.SIGTERM, timeout=20):
        pid = self.pid()
        if pid is not None:
            try:
                os.kill(pid, sig)
                if not wait(lambda: self.pid() is None, timeout):
                    os.kill(pid, signal.SIGKILL)
                    wait(lambda: self.pid() is None, 5)
            except ProcessLookupError:
                pass
        self.file.unlink(missing_ok=True)

    def log_tail(self, lines=25):
        try:
            text = self.state.log(self.name).read_text(errors="replace")
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])

    def wait_ready(self, condition, timeout):
        """Waits until it answers; says what its log said when it does not."""
        def answered_or_dead():
            return condition() or self.pid() is None
        wait(answered_or_dead, timeout)
        if condition():
            return
        what = "did not come up within %ss" % timeout if self.pid() else "ended at its start"
        raise Failure(f"{self.name} {what}; the end of {self.state.log(self.name)}:\n{self.log_tail()}")


def wait(condition, timeout, interval=0.05):
    """Whether the condition came true within timeout seconds."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(interval)
    return True


def wait_or_fail(condition, timeout, what, interval=0.05):
    if not wait(condition, timeout, interval):
        raise Failure(f"waited {timeout}s in vain for {what}")


def accepts(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def java(main, *arguments, heap, options=()):
    """The command line of a JVM with Kafka's jars. Small heap, serial collector, first compiler only (it halves the start):
    the machine is shared with the tests. EDGEFEED_STACK_JVM adds options, for benchmarks: "-Xmx2g -XX:TieredStopAtLevel=4"."""
    if not (HOME / "stamp").exists():
        raise Failure(f"Kafka's jars are not in {HOME}; run {HERE / 'install.sh'}")
    program = shutil.which("java")
    if program is None:
        raise Failure(f"no java in PATH; run {HERE / 'install.sh'}")
    return [program, f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1",
            f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}",
            *options, *os.environ.get("EDGEFEED_STACK_JVM", "").split(),
            "-cp", f"{HOME / 'kafka'}/*", main, *arguments]
