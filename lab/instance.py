"""A private Postfix instance in one folder, with Pointsman beside it.

Its own configuration, queue and data directory, an unprivileged port, its own mail
log; nothing of the machine's Postfix is touched.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from click.testing import CliRunner

from lab import sasl
from lab.settings import MASTER_CF, main_cf, pointsman_yaml
from pointsman.cli.main import cli


def free_port() -> int:
    """A port of the loopback address that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Instance:
    """One Postfix with its Pointsman."""

    folder: Path
    port: int = field(default_factory=free_port)
    hostname: str = "mx.lab.test"
    daemons: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    changes: Mapping[str, object] = field(default_factory=dict)  # of pointsman.yaml

    @property
    def config_directory(self) -> Path:
        """Where main.cf is."""
        return self.folder / "etc"

    @property
    def queue_directory(self) -> Path:
        """Where the queue is."""
        return self.folder / "queue"

    @property
    def log_file(self) -> Path:
        """The mail log, Postfix's lines and ours."""
        return self.folder / "mail.log"

    @property
    def config_file(self) -> Path:
        """pointsman.yaml."""
        return self.folder / "pointsman.yaml"

    @property
    def state_directory(self) -> Path:
        """Pointsman's state."""
        return self.folder / "state"

    # -- making it

    def create(self, parameters: Mapping[str, str] | None = None) -> None:
        """Write the configuration; `parameters` are more lines of main.cf."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self.config_directory.mkdir()
        self.queue_directory.mkdir()
        (self.folder / "data").mkdir()
        shutil.chown(self.folder / "data", "postfix", "postfix")
        (self.folder / "spool").mkdir()
        (self.folder / "spool").chmod(0o1777)
        self.log_file.touch()
        self.log_file.chmod(0o666)  # postlogd and every program of ours append to it
        lines = {**main_cf(self), **(parameters or {})}
        text = "".join(f"{name} = {value}\n" for name, value in lines.items())
        (self.config_directory / "main.cf").write_text(text)
        (self.config_directory / "master.cf").write_text(MASTER_CF.format(port=self.port))
        (self.folder / "aliases").write_text("")
        sasl.create(self.config_directory / "sasl")
        self.postfix("postalias", f"lmdb:{self.folder / 'aliases'}")
        self.config_file.write_text(yaml.safe_dump({**pointsman_yaml(self), **self.changes}))

    def add_login(self, login: str, password: str) -> None:
        """Let a client log in to this Postfix."""
        sasl.add(self.config_directory / "sasl", login, password)

    # -- Postfix

    def postfix(self, program: str, *arguments: str, stdin: str | None = None) -> str:
        """Run one of Postfix's commands on this instance."""
        result = subprocess.run(
            [program, "-c", str(self.config_directory), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PATH": f"/usr/sbin:{os.environ['PATH']}"},
        )
        if result.returncode:
            raise RuntimeError(f"{program} {arguments}: {result.stderr or result.stdout}")
        return result.stdout

    def set(self, **parameters: str) -> None:
        """Edit main.cf as an admin would, and reload."""
        self.postfix("postconf", "-e", *(f"{name}={value}" for name, value in parameters.items()))
        self.reload()

    def reload(self) -> None:
        """Make Postfix read its configuration again."""
        self.postfix("postfix", "reload")

    def chroot(self, *daemons: str) -> None:
        """Confine daemons to the queue directory, as Debian does."""
        for entry in self.postfix("postconf", "-F", "*/*/command").splitlines():
            name, _, command = entry.partition("=")
            if command.strip() in daemons:
                service = name.strip().removesuffix("/command")
                self.postfix("postconf", "-F", f"{service}/chroot=y")

    def start(self) -> None:
        """Start Postfix and wait until it greets."""
        self.postfix("postfix", "start")
        wait_until(self._greets, "Postfix to greet")

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
                return connection.recv(3) in (b"220", b"451", b"421")
        except OSError:
            return False

    def queue(self) -> list[dict[str, object]]:
        """What is in the queue."""
        return [json.loads(line) for line in self.postfix("postqueue", "-j").splitlines()]

    def wait_for_empty_queue(self, timeout: float = 60.0) -> None:
        """Wait until everything has left."""
        wait_until(self._empty, "the queue to empty", timeout)

    def _empty(self) -> bool:
        """What a reload cut off, even if delivered, waits for qmgr to look again: in minutes."""
        names = {message["queue_name"] for message in self.queue()}
        if names == {"incoming"}:
            with suppress(RuntimeError):  # while it starts anew
                self.postfix("postkick", "public", "qmgr", "AI")
        return not names

    # -- Pointsman

    def cli(self, *arguments: str, check: bool = True, stdin: str = "") -> str:
        """Run `pointsman` in this process, which saves its start, and return its output."""
        result = CliRunner().invoke(
            cli, ["--config", str(self.config_file), *arguments], input=stdin
        )
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        if check and result.exit_code:
            raise RuntimeError(f"pointsman {' '.join(arguments)}: {result.output}")
        return result.output

    def run_cli(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run `pointsman` as a program of its own, however it ends."""
        return subprocess.run(
            self.command(*arguments), input=stdin, capture_output=True, text=True, check=False
        )

    def command(self, *arguments: str) -> list[str]:
        """The command line of `pointsman` as a program of its own."""
        start = [sys.executable, "-m", "pointsman.cli.main", "--config", str(self.config_file)]
        return [*start, *arguments]

    def start_daemon(self, name: str) -> None:
        """Start one of Pointsman's programs and wait until its log says so."""
        mark = self.log_size()
        with (self.folder / f"{name}.err").open("ab") as errors:
            self.daemons[name] = subprocess.Popen(self.command("run", name), stderr=errors)
        self.wait_for_log(rf"pointsman/{name}\[\d+\]: started", since=mark)
        if name == "milter":
            socket_path = self.queue_directory / "pointsman" / "milter.sock"
            wait_until(lambda: answers(socket_path), "the milter to listen")

    def start_all(self) -> None:
        """Start `pointsman run` and wait until all of it is at work."""
        mark = self.log_size()
        self.daemons["all"] = subprocess.Popen(self.command("run"))
        for name in ("policy", "milter", "submit", "agent"):
            self.wait_for_log(rf"pointsman/{name}\[\d+\]: started", since=mark)

    def stop_daemon(self, name: str, number: int = signal.SIGTERM) -> int:
        """Signal a program, wait for its end and return its status."""
        daemon = self.daemons.pop(name)
        daemon.send_signal(number)
        return daemon.wait(timeout=15)

    def stop(self) -> None:
        """Stop everything."""
        for name in list(self.daemons):
            # `pointsman run` must get the chance to end its own children.
            self.stop_daemon(name, signal.SIGTERM if name == "all" else signal.SIGKILL)
        with suppress(RuntimeError):  # it may be down already
            self.halt()

    def halt(self) -> None:
        """Stop Postfix and wait for its end."""
        self.postfix("postfix", "stop")
        pid_file = self.queue_directory / "pid" / "master.pid"
        wait_until(lambda: not _alive(pid_file), "master to end")

    # -- the log

    def log_size(self) -> int:
        """Where the log ends now."""
        return self.log_file.stat().st_size

    def log(self, since: int = 0) -> str:
        """The log from a place on."""
        with self.log_file.open("rb") as file:
            file.seek(since)
            return file.read().decode("utf-8", "replace")

    def wait_for_log(self, pattern: str, since: int = 0, timeout: float = 20.0) -> re.Match[str]:
        """Wait until the log has a line that matches."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            match = re.search(pattern, self.log(since), re.MULTILINE)
            if match:
                found.append(match)
            return bool(match)

        wait_until(look, f"{pattern!r} in the log", timeout)
        return found[0]

    def wait_for_revision(self, revision: int, timeout: float = 10.0) -> None:
        """Wait until the snapshot has at least this revision."""
        path = self.state_directory / "snapshot.json"

        def reached() -> bool:
            match = re.search(r'"revision": (\d+)', path.read_text()) if path.exists() else None
            return bool(match) and int(match[1]) >= revision  # type: ignore[index]

        wait_until(reached, f"revision {revision}", timeout)

    def spool(self, user: str) -> Iterator[Path]:
        """Messages delivered to a local user."""
        yield from sorted((self.folder / "spool" / user / "new").glob("*"))


def _alive(pid_file: Path) -> bool:
    try:
        os.kill(int(pid_file.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def answers(path: Path) -> bool:
    """Whether something accepts connections at a unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def wait_until(condition: object, what: str, timeout: float = 20.0) -> None:
    """Look again and again until something is so; there is no event to wait for."""
    assert callable(condition)
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what}")
        time.sleep(0.02)


@contextmanager
def running(
    folder: Path,
    parameters: Mapping[str, str] | None = None,
    daemons: Sequence[str] = ("policy", "milter", "agent"),
) -> Iterator[Instance]:
    """A Postfix that is set up, started and served by our daemons."""
    instance = Instance(folder)
    instance.create(parameters)
    try:
        instance.start()
        instance.cli("setup", "--no-probe")
        for name in daemons:
            instance.start_daemon(name)
        yield instance
    finally:
        instance.stop()
