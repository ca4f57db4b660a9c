"""A private Postfix with Pointsman, that can be had with and without it.

Whatever is compared runs through the same Postfix, on the same disk, to the same
sink; between two runs a few lines of main.cf change.
"""

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.fill import Size, fill
from lab.instance import Instance, wait_until
from pointsman.postfix.apply import RELOAD_INTERVAL

# What `setup` leads through Pointsman; all else that it sets stays the same in all runs.
WIRED = (
    "smtpd_milters",
    "non_smtpd_milters",
    "sender_dependent_default_transport_maps",
    "milter_header_checks",
    "smtp_generic_maps",
    "lmtp_generic_maps",
    "smtp_header_checks",
    "smtp_nested_header_checks",
    "smtp_body_checks",
    "virtual_alias_maps",
)
# Where a policy server is asked about whole messages; `setup` leaves it alone.
ASKED_AT_END = "smtpd_end_of_data_restrictions"
# The way out of a Postfix without Pointsman, with as many processes as a lane has.
PLAIN_LANE = "bench unix - - n - 5 smtp -o syslog_name=postfix/bench\n"
WORKERS = ("smtpd", "cleanup", "qmgr", "trivial-rewrite", "smtp")
SETTLE = 60.0  # seconds


@dataclass
class Rig:
    """The instance, and what main.cf says once it is wired."""

    postfix: Instance
    wired: Mapping[str, str]
    size: Size
    applied_in: float  # seconds that the first `pointsman apply` took

    @property
    def plain(self) -> dict[str, str]:
        """The same parameters without Pointsman."""
        return {**dict.fromkeys(WIRED, ""), ASKED_AT_END: ""}

    @property
    def milter_socket(self) -> Path:
        """Where Pointsman's milter listens."""
        return self.postfix.queue_directory / "pointsman" / "milter.sock"

    def switch(self, parameters: Mapping[str, str], *, agent: bool) -> None:
        """Edit main.cf and reload; the agent belongs to Pointsman, and runs only with it."""
        if not agent and "agent" in self.postfix.daemons:
            self.postfix.stop_daemon("agent")
        mark, old = self.postfix.log_size(), self._workers()
        self.postfix.set(**parameters)
        self.postfix.wait_for_log(r"postfix/master\[\d+\]: reload ", since=mark)
        # An idle worker serves one more client by what it read when it started.
        wait_until(lambda: not old & self._workers(), "workers from before the reload to end")
        if agent:
            self._start_agent(mark)

    def _start_agent(self, mark: int) -> None:
        """Start the agent if need be, and wait until it has seen the edit of main.cf."""
        if "agent" not in self.postfix.daemons:
            self.postfix.start_daemon("agent")
        self.postfix.wait_for_log(r"agent\[\d+\]: applied ", since=mark, timeout=SETTLE)
        self.postfix.wait_for_log(r"milter\[\d+\]: snapshot ", since=mark, timeout=SETTLE)

    def outlast_memory(self) -> None:
        """Wait until no link counts as recently changed: until then all mail is carried."""
        path = self.postfix.state_directory / "snapshot.json"
        until = max(json.loads(path.read_text())["changed"].values(), default=0.0)
        wait_until(lambda: time.time() > until, "the last change to be an old one", SETTLE)

    def wait_for_interval(self) -> None:
        """Wait until the agent would not hold back a change because of the last one."""
        stamp = self.postfix.state_directory / "reload.stamp"
        wait_until(
            lambda: time.time() - stamp.stat().st_mtime > 1.2 * RELOAD_INTERVAL,
            "the agent to rest",
            SETTLE,
        )

    def milter_memory(self) -> tuple[float, float]:
        """Its memory now, and the most it ever had, in MB."""
        status = Path(f"/proc/{self.milter_pid}/status").read_text()
        found = dict(re.findall(r"^(VmRSS|VmHWM):\s*(\d+) kB", status, re.MULTILINE))
        return int(found["VmRSS"]) * 1024 / 1e6, int(found["VmHWM"]) * 1024 / 1e6

    def _workers(self) -> set[str]:
        """The process ids of master's children that a message passes."""
        listed = subprocess.run(
            ["ps", "--ppid", str(self.master_pid), "-o", "pid=,comm="],
            capture_output=True,
            text=True,
            check=False,
        )
        found = (line.split() for line in listed.stdout.splitlines())
        return {pid for pid, name in found if name in WORKERS}

    @property
    def master_pid(self) -> int:
        """Postfix's master, whose children are all its workers."""
        return int((self.postfix.queue_directory / "pid/master.pid").read_text())

    @property
    def policy_pid(self) -> int:
        """Pointsman's policy daemon, which the milter asks about each message."""
        return self.postfix.daemons["policy"].pid

    @property
    def milter_pid(self) -> int:
        """Pointsman's milter."""
        return self.postfix.daemons["milter"].pid


@contextmanager
def rig(folder: Path, size: Size, sink: int) -> Iterator[Rig]:
    """Build it: Postfix set up with nothing in it, then all of `size` in one apply."""
    postfix = Instance(folder)
    try:
        postfix.create({"default_transport": f"bench:[127.0.0.1]:{sink}"})
        with (postfix.config_directory / "master.cf").open("a") as master_cf:
            master_cf.write(PLAIN_LANE)
        postfix.start()
        pointsman(postfix, "setup")
        wired = _explicit(postfix)
        postfix.start_daemon("policy")
        postfix.start_daemon("milter")
        fill(postfix, size, sink)
        start = time.monotonic()
        pointsman(postfix, "apply")
        built = Rig(postfix, wired, size, time.monotonic() - start)
        postfix.wait_for_log(rf"milter\[\d+\]: snapshot .*links={size.links}\b", timeout=SETTLE)
        built.outlast_memory()
        yield built
    finally:
        postfix.stop()


def pointsman(postfix: Instance, *arguments: str) -> str:
    """Run the command as a process of its own, as an admin does, and return its output."""
    result = postfix.run_cli(*arguments)
    if result.returncode:
        raise RuntimeError(f"pointsman {' '.join(arguments)}: {result.stdout}{result.stderr}")
    return result.stdout


def _explicit(postfix: Instance) -> dict[str, str]:
    pairs = (line.partition("=") for line in postfix.postfix("postconf", "-n").splitlines())
    values = {name.strip(): value.strip() for name, _, value in pairs}
    return {**{name: values[name] for name in WIRED}, ASKED_AT_END: ""}
