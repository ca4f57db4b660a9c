"""Policy servers to compare: each started as it is meant to run, each on its own socket."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.cpu import tree, tree_seconds
from lab.instance import answers, free_port, wait_until
from pointsman import config
from pointsman.routing.snapshot import Agency, Lane, Link, Snapshot, dump
from pointsman.store.database import Store

END_OF_MESSAGE, RCPT = "END-OF-MESSAGE", "RCPT"
CONNECTORS = 1000  # at most; further agencies share them
MOST_CONNECTIONS = 100
START = 60.0  # seconds: 100,000 agencies are read first


@dataclass(frozen=True)
class Server:
    """One of them, running."""

    address: str  # unix:PATH or tcp:PORT
    pids: Sequence[int]
    state: str = END_OF_MESSAGE  # where it counts

    def seconds(self) -> float:
        """CPU seconds so far, children included."""
        return tree_seconds(*self.pids)

    def memory(self) -> float:
        """Resident MB of all its processes; a page that several share counts once."""
        return sum(map(_resident, tree(*self.pids))) / 1e6


def _resident(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def snapshot(agencies: int, limit: int) -> Snapshot:
    """As many agencies with a rate of their own, each with one login and one sender."""
    connectors = [f"c{n}" for n in range(min(agencies, CONNECTORS))]
    homes = {n: connectors[n % len(connectors)] for n in range(agencies)}
    rate = f"{limit}/minute"
    return Snapshot(
        revision=1,
        tokens=("0" * 32,),
        agencies={
            f"a{n}": Agency(f"a{n}", frozenset({f"app{n}"}), rate=rate, over_limit="defer")
            for n in homes
        },
        lanes={name: Lane(name, "[192.0.2.25]:587") for name in connectors},
        links={f"clerk@town{n}.example": Link(f"a{n}", home) for n, home in homes.items()},
    )


@contextmanager
def pointsman(
    folder: Path, agencies: int, limit: int, counters: str = "memory", *beside: int
) -> Iterator[Server]:
    """`pointsman run policy`, with a database to report to and a log file, as in service."""
    state = folder / "state"
    state.mkdir(parents=True)
    (state / "snapshot.json").write_text(dump(snapshot(agencies, limit)))
    settings = {
        "database": f"sqlite:///{folder / 'db' / 'pointsman.db'}",
        "secret_key_file": str(folder / "secret.key"),
        "state_directory": str(state),
        "log": str(folder / "mail.log"),
        "policy": {"socket": f"unix:{state / 'policy.sock'}", "counters": counters},
    }
    file = folder / "pointsman.yaml"
    file.write_text(yaml.safe_dump(settings))
    loaded = config.load(file)
    Store(loaded).create()
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, loaded.user, loaded.user)
    command = [sys.executable, "-m", "pointsman.cli.main", "--config", str(file), "run", "policy"]
    with child(command, folder / "errors") as pid:
        yield ready(Server(f"unix:{loaded.policy_socket}", [pid, *beside]))


@contextmanager
def redis(folder: Path) -> Iterator[tuple[str, int]]:
    """A Redis of our own that writes nothing to disk: its URL and process."""
    folder.mkdir()
    path = folder / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(path), "--unixsocketperm", "777"]
    quiet = ["--save", "", "--appendonly", "no", "--dir", str(folder)]
    with child(["redis-server", *options, *quiet], folder / "log") as pid:
        wait_until(lambda: answers(path), "Redis to listen")
        yield f"unix://{path}", pid


@contextmanager
def floor(folder: Path) -> Iterator[Server]:
    """The asyncio server that does nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "floor.sock"
    with child([sys.executable, "-m", "bench.floor_policy", str(path)], folder / "errors") as pid:
        yield ready(Server(f"unix:{path}", [pid]))


@contextmanager
def policyd_rate_limit(folder: Path, _agencies: int, limit: int) -> Iterator[Server]:
    """Counts by sender, in SQLite, and only where it is asked at RCPT: all else it lets pass."""
    folder.mkdir()
    data = folder / "data"
    account = "policyd-rate-limit"
    data.mkdir()
    shutil.chown(data, account, account)
    settings = {
        "debug": False,
        "user": account,
        "group": account,
        "pidfile": str(data / "pid"),
        "backend": 0,
        "sqlite_config": {"database": str(data / "db.sqlite3")},
        "SOCKET": str(data / "policy.sock"),
        "socket_permission": 0o666,
        "limits": [[limit, 60]],
        "limit_by_sasl": False,
        "limit_by_sender": True,
        "limit_by_ip": False,
    }
    file = folder / "policyd.yaml"
    file.write_text(yaml.safe_dump(settings))
    with child(["/usr/bin/policyd-rate-limit", "-f", str(file)], folder / "errors") as pid:
        yield ready(Server(f"unix:{data / 'policy.sock'}", [pid], RCPT))


def _postfwd_rules(folder: Path, limit: int) -> Path:
    folder.mkdir()
    folder.chmod(0o777)  # its account writes socket and pid file
    rule = f"action=rate(sender/{limit}/60/450 4.7.1 over its rate)"
    file = folder / "postfwd.cf"
    file.write_text(f"id=R1; protocol_state==END-OF-MESSAGE; {rule}\n")
    return file


@contextmanager
def postfwd1(folder: Path, _agencies: int, limit: int) -> Iterator[Server]:
    """One process that serves all connections; without a log, which is faster."""
    file, path, pid_file = _postfwd_rules(folder, limit), folder / "policy.sock", folder / "pid"
    options = ["--proto", "unix", "--port", str(path), "--umask", "0"]
    common = ["--file", str(file), "--pidfile", str(pid_file), *_NOBODY, "--perfmon"]
    with daemon(["/usr/sbin/postfwd1", "--daemon", *common, *options], pid_file) as pid:
        yield ready(Server(f"unix:{path}", [pid]))


@contextmanager
def postfwd2(folder: Path, _agencies: int, limit: int) -> Iterator[Server]:
    """A process for each connection, the counters in one more; what `postfwd` is by default."""
    file, port, pid_file = _postfwd_rules(folder, limit), free_port(), folder / "pid"
    processes = ["--min_servers", str(MOST_CONNECTIONS + 5), "--max_servers", "120"]
    options = ["--interface", "127.0.0.1", "--port", str(port), *processes]
    cache = ["--cache_proto", "unix", "--cache_port", str(folder / "cache.sock")]
    common = ["--file", str(file), "--pidfile", str(pid_file), *_NOBODY, "--perfmon"]
    with daemon(["/usr/sbin/postfwd2", *common, *options, *cache], pid_file) as pid:
        wait_until(lambda: len(tree(pid)) > MOST_CONNECTIONS, "postfwd2's processes", START)
        yield ready(Server(f"tcp:{port}", [pid]))


_NOBODY = ["--user", "nobody", "--group", "nogroup"]


def ready(server: Server) -> Server:
    """Wait until it listens."""
    kind, _, where = server.address.partition(":")
    if kind == "unix":
        wait_until(lambda: answers(Path(where)), f"{where} to answer", START)
    return server


@contextmanager
def child(command: Sequence[str], errors: Path) -> Iterator[int]:
    """Run a server in the foreground, in a session of its own, and end it."""
    with errors.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def daemon(command: Sequence[str], pid_file: Path) -> Iterator[int]:
    """Run a server that goes into the background by itself, and end all of it."""
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    wait_until(lambda: pid_file.exists() and pid_file.read_text().strip(), "its pid file")
    pid = int(pid_file.read_text())
    try:
        yield pid
    finally:
        family = tree(pid)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for member in [m for m in family if alive(m)]:
                with suppress(ProcessLookupError):
                    os.kill(member, number)
            with suppress(AssertionError):
                wait_until(lambda: not any(map(alive, family)), "it to end", 5)


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
