"""A machine of its own to install things on: this one's files, and nothing done to them stays.

Its root is an overlay over this machine's, kept in memory, in namespaces of its own: other
processes, another network, another mail server's port 25. It runs a real systemd, or none.
"""

import os
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lab.instance import wait_until

UPPER = "/run/changed"  # in the machine: what differs from this one, as overlayfs keeps it
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NAMESPACES = ("--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup")

# $1 is an empty folder, the rest the first process.
_BOOT = """
set -e
top=$1; shift
mount -t tmpfs tmpfs "$top"
mkdir "$top/upper" "$top/work" "$top/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" "$top/root"
cd "$top/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in run dev tmp; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
chmod 1777 tmp
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for number in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${number%:*}" "dev/${number#*:}"; done
mkdir run/changed run/old
mount --bind "$top/upper" run/changed
ip link set lo up
pivot_root . run/old
umount -l /run/old
mount --make-rshared / # as systemd wants it: it makes a service's credentials in a namespace
exec env -i container=lab "PATH=$PATH" "$@"
"""
_SYSTEMD = ("/lib/systemd/systemd", "--system", "--unit=basic.target")
_NOTHING = ("sleep", "infinity")


def _is_opaque(folder: str) -> bool:
    """Whether a folder was removed and made anew: nothing of the one below shows through."""
    try:
        return os.getxattr(folder, "trusted.overlay.opaque") == b"y"
    except OSError:
        return False


def _differs(new: Path, old: Path) -> bool:
    try:
        status, before = new.lstat(), old.lstat()
    except FileNotFoundError:
        return True
    kinds = [(s.st_mode, s.st_uid, s.st_gid) for s in (status, before)]
    if kinds[0] != kinds[1]:  # a removed file is a device 0:0 here
        return True
    if stat.S_ISLNK(status.st_mode):
        return new.readlink() != old.readlink()
    return stat.S_ISREG(status.st_mode) and new.read_bytes() != old.read_bytes()


class Machine:
    """One that runs; `run` is a shell on it."""

    def __init__(self, folder: Path, first: Sequence[str]) -> None:
        command = ["unshare", *_NAMESPACES, "--fork", "--kill-child", "--propagation", "private"]
        command += ["sh", "-c", _BOOT, "boot", str(folder), *first]
        environment = {**os.environ, "PATH": _PATH}
        self._log = (folder.parent / "boot.log").open("w+b")
        self._process = subprocess.Popen(
            command, env=environment, stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL
        )
        self._first = first[0]
        wait_until(self._is_up, "the machine to come up", 60)
        if first == _SYSTEMD:
            wait_until(self._has_booted, "systemd to start what it starts", 60)

    def _is_up(self) -> bool:
        if self._process.poll() is not None:
            self._log.seek(0)
            raise RuntimeError(f"the machine did not come up: {self._log.read().decode()[-2000:]}")
        with suppress(OSError, IndexError):
            cmdline = Path(f"/proc/{self._pid()}/cmdline").read_bytes()
            return cmdline.split(b"\0")[0].decode() == self._first
        return False

    def _has_booted(self) -> bool:
        state = self.try_run("systemctl", "is-system-running").stdout.strip()
        return state in ("running", "degraded")

    def _pid(self) -> int:
        """The machine's first process, as this machine knows it."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return int(children.read_text().split()[0])

    def try_run(self, *command: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[str]":
        """Run a command as root, however it ends."""
        enter = ["nsenter", "-t", str(self._pid()), "--all", "--root", "--wd"]
        result = subprocess.run(
            [*enter, "env", "-i", f"PATH={_PATH}", "HOME=/root", "LC_ALL=C.UTF-8", *command],
            input=stdin,
            capture_output=True,
            check=False,
        )
        texts = result.stdout.decode("utf-8", "replace"), result.stderr.decode("utf-8", "replace")
        return subprocess.CompletedProcess(command, result.returncode, *texts)

    def run(self, *command: str, stdin: bytes = b"") -> str:
        """Run a command that must succeed, and return what it printed."""
        result = self.try_run(*command, stdin=stdin)
        if result.returncode:
            raise RuntimeError(
                f"{' '.join(command)}: {result.stdout[-2000:]}{result.stderr[-2000:]}"
            )
        return result.stdout

    def write(self, path: str, content: bytes, mode: str = "644") -> None:
        """Put a file there."""
        self.run("install", "-D", "-m", mode, "/dev/stdin", path, stdin=content)

    def is_there(self, path: str) -> bool:
        """Whether there is such a file or folder."""
        return self.try_run("test", "-e", path).returncode == 0

    def path(self, name: str) -> Path:
        """A file of the machine, to be looked at from here; links lead astray."""
        return Path(f"/proc/{self._pid()}/root{name}")

    def changed(self) -> Iterator[str]:
        """The files and folders that are other than on this machine: content, mode or owner."""
        upper = self.path(UPPER)
        for folder, folders, names in os.walk(upper):
            here = Path("/", Path(folder).relative_to(upper))
            found = [*folders, *names]
            if _is_opaque(folder) and here.is_dir():
                yield from (str(path) for path in here.iterdir() if path.name not in found)
            yield from (str(here / n) for n in found if _differs(Path(folder, n), here / n))

    def stop(self) -> None:
        """End every process on it; all that was changed is gone."""
        with suppress(OSError, IndexError, ValueError):
            os.kill(self._pid(), signal.SIGKILL)
        self._process.wait()
        self._log.close()


def refused() -> str:
    """Why no machine can be made here, as in most containers; '' if one can."""
    mounts = "mount -t tmpfs tmpfs /mnt && mount -t cgroup2 cgroup2 /mnt"
    trial = ["unshare", *_NAMESPACES, "--fork", "sh", "-c", mounts]
    return subprocess.run(trial, capture_output=True, text=True, check=False).stderr.strip()


@contextmanager
def running(*, systemd: bool = True) -> Iterator[Machine]:
    """A machine that is up, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="pointsman-machine-") as folder:
        top = Path(folder, "top")
        top.mkdir()
        machine = Machine(top, _SYSTEMD if systemd else _NOTHING)
        try:
            yield machine
        finally:
            machine.stop()
