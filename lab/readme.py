"""Runs the README's commands word for word, on a machine where its names exist.

Started in namespaces of its own (see `main`): with an /etc/hosts and a list of certificate
authorities that know smtp.court.example and relay.city.example, and with a network where
port 25 is free, whatever runs on the machine.
"""

import fcntl
import os
import re
import shlex
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

from lab.certs import Authority
from lab.city import City, new_folder
from lab.instance import Instance
from lab.nexthop import NextHop
from pointsman.postfix.lane import SYSTEM_CA_FILE

ROOT = Path(__file__).parent.parent
HOSTS = {"smtp.court.example": "127.0.0.25", "relay.city.example": "127.0.0.26"}
PASSWORDS = {"court.pw": "first password", "new.pw": "second password"}
INSIDE = "POINTSMAN_README"  # set within the namespaces
NAMESPACES = ("unshare", "--mount", "--net")
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1


def commands() -> list[str]:
    """The lines of the README's section `Use it`, continued ones joined, comments gone."""
    section = (ROOT / "README.md").read_text().split("## Use it")[1]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block
    joined = re.sub(r"\\\n\s*", "", block[1])
    return [shlex.join(shlex.split(line, comments=True)) for line in joined.splitlines()]


def refused() -> str:
    """Why this machine gives no namespaces, as most containers don't; '' if it does."""
    trial = subprocess.run([*NAMESPACES, "true"], capture_output=True, text=True, check=False)
    return trial.stderr.strip()


def bring_up_loopback() -> None:
    """Do what `ip link set lo up` does: a new network has it down."""
    with socket.socket() as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))


def main() -> int:
    """Enter the namespaces, then run everything there."""
    if INSIDE in os.environ:
        bring_up_loopback()
        run(Path(os.environ[INSIDE]))
        return 0
    folder = new_folder()
    try:
        authority = Authority.create(folder / "ca")
        for name in HOSTS:
            authority.issue(name)
        hosts = "".join(f"{address} {name}\n" for name, address in HOSTS.items())
        (folder / "hosts").write_text(f"127.0.0.1 localhost\n{hosts}")
        shutil.copy(authority.ca_file, folder / "authorities.pem")
        script = 'mount --bind "$1" /etc/hosts && mount --bind "$2" "$3" && shift 3 && exec "$@"'
        files = [str(folder / "hosts"), str(folder / "authorities.pem"), str(SYSTEM_CA_FILE)]
        command = [*NAMESPACES, "sh", "-c", script, "sh", *files]
        command += [sys.executable, "-m", "lab.readme"]
        environment = {**os.environ, INSIDE: str(folder)}
        return subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(folder: Path) -> None:
    """Type each command, then see that mail takes the ways that were set up."""
    court = NextHop(
        "court",
        {"court": PASSWORDS["court.pw"]},
        certificate=folder / "ca" / "smtp.court.example-20.pem",
        host=HOSTS["smtp.court.example"],
        port=587,
    ).start()
    relay = NextHop("relay", host=HOSTS["relay.city.example"], port=25).start()
    postfix = Instance(folder / "postfix")
    hops = {"court": court, "relay": relay}
    city = City(folder, postfix, Authority.create(folder / "ca2"), hops)
    for name, password in PASSWORDS.items():
        (folder / name).write_text(password + "\n")
    try:
        postfix.create()
        postfix.start()
        *typed, last = commands()
        assert last == "pointsman run", last
        for line in typed:
            if "new.pw" in line:
                court.logins = {"court": PASSWORDS["new.pw"]}
            type_command(line, folder, postfix)
        postfix.start_all()
        send_and_check(city)
    finally:
        postfix.stop()
        court.stop()
        relay.stop()


def type_command(line: str, folder: Path, postfix: Instance) -> None:
    """Run one line in a shell, as an admin would."""
    print(f"$ {line}", flush=True)
    environment = {
        **os.environ,
        "POINTSMAN_CONFIG": str(postfix.config_file),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    ended = subprocess.run(line, shell=True, check=False, env=environment, cwd=folder)
    # `check` finds that no daemon runs yet, and says so by its status.
    if ended.returncode > (line == "pointsman check"):
        raise RuntimeError(f"{line} ended with status {ended.returncode}")


def send_and_check(city: City) -> None:
    """The court's mail goes to its server under the new password, other mail to the relay."""
    city.settle()
    send = {"login": "court-app"}
    assert city.send("bounce@vendor.example", "clerk@court.example", "court", **send).code == 250
    assert city.send("x@other.example", "x@other.example", "other", **send).code == 250
    (received,) = city.arrived("court")
    assert (received.server, received.password) == ("court", PASSWORDS["new.pw"]), received
    assert received.sender == "bounce@vendor.example"
    assert city.arrived("other")[0].server == "relay"


if __name__ == "__main__":
    sys.exit(main())
