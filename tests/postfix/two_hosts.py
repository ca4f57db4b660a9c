"""Two MTAs in network namespaces, one PostgreSQL with TLS, one server for their mail."""

import json
import re
import shutil
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from lab.certs import Authority
from lab.city import City, new_folder
from lab.instance import Instance, wait_until
from lab.network import NET, Node, network
from lab.postgres import Postgres
from tests.postfix.conftest import furnish

NAMES = ("mx1", "mx2")


@dataclass(eq=False)
class Host:
    """One MTA; what is done to it is done in its namespace."""

    name: str
    node: Node
    city: City

    def cli(self, *arguments):
        """Run `pointsman` there; it must succeed."""
        with self.node.inside():
            return self.city.postfix.cli(*arguments)

    def run(self, *arguments):
        """Run it as a program of its own, however it ends."""
        with self.node.inside():
            return self.city.postfix.run_cli(*arguments)

    def start(self, *arguments):
        """Start it, and do not wait."""
        with self.node.inside():
            return subprocess.Popen(
                self.city.postfix.command(*arguments), stdout=subprocess.DEVNULL
            )

    def send(self, *arguments, **options):
        """Send a message as a client there."""
        with self.node.inside():
            return self.city.send(*arguments, **options)

    def restart(self, name):
        """Stop a daemon and start it anew."""
        with self.node.inside():
            self.city.postfix.stop_daemon(name)
            self.city.postfix.start_daemon(name)

    @property
    def revision(self):
        """What its milter decides by."""
        found = re.findall(
            r"pointsman/milter\[\d+\]: snapshot revision=(\d+)", self.city.postfix.log()
        )
        return int(found[-1]) if found else 0

    def row(self, other="mx1"):
        """What `host list` says here about a host."""
        rows = map(json.loads, self.cli("host", "list", "--json").splitlines())
        return next(row for row in rows if row["host"] == other)


@dataclass
class Pair:
    """The two, and the database that they share."""

    hosts: dict[str, Host]
    postgres: Postgres
    node: Node  # where that runs

    @property
    def both(self):
        """One after the other."""
        return list(self.hosts.values())

    @property
    def mx1(self):
        """The one that was set up first."""
        return self.hosts["mx1"]

    @property
    def mx2(self):
        """The one that joined it."""
        return self.hosts["mx2"]

    def start_postgres(self):
        """Start the server again, where it was."""
        with self.node.inside():
            self.postgres.start()

    def settle(self, timeout=15):
        """Wait until both know the newest revision; returns how long it took (seconds)."""
        newest = json.loads(self.mx1.cli("history", "--json", "--limit", "1"))["revision"]
        start = time.monotonic()
        for host in self.both:
            known = f"{host.name} to know revision {newest}"
            wait_until(lambda host=host: host.revision >= newest, known, timeout)
        return time.monotonic() - start


@contextmanager
def pair():
    """From nothing; nothing is left of it afterwards."""
    folder = new_folder()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        nodes = stack.enter_context(network(["db", *NAMES]))
        authority = Authority.create(folder / "ca")
        postgres = Postgres(folder / "postgres", [nodes["db"].address], NET)
        stack.callback(postgres.kill)
        with nodes["db"].inside():
            postgres.create(authority.issue("localhost"))
        url = f"{postgres.create_database()}?sslmode=verify-ca&sslrootcert={authority.ca_file}"
        hosts = {}
        for name in NAMES:
            changes = {"database": url, "host_name": name}
            postfix = Instance(folder / name, hostname=f"{name}.lab.test", changes=changes)
            city = City(folder / f"{name}.d", postfix, authority)
            hosts[name] = Host(name, nodes[name], city)
            stack.callback(stop, hosts[name])
            start(hosts[name], hosts[NAMES[0]].city)
        both = Pair(hosts, postgres, nodes["db"])
        with both.mx1.node.inside():
            furnish(both.mx1.city)
        both.settle()
        yield both


def start(host, first):
    """Set a host up as an admin would; later ones get the key file of the first."""
    city = host.city
    city.folder.mkdir()
    with host.node.inside():
        city.add_hops({name: hop.port for name, hop in first.hops.items()})
        city.postfix.create({"relayhost": f"[127.0.0.1]:{city.hops['default'].port}"})
        if city is not first:
            shutil.copy(first.postfix.folder / "secret.key", city.postfix.folder)
        city.postfix.start()
        city.postfix.cli("setup")
        for name in ("policy", "milter", "agent"):
            city.postfix.start_daemon(name)


def stop(host):
    """Stop all of it."""
    with host.node.inside():
        host.city.postfix.stop()
        for hop in host.city.hops.values():
            hop.stop()
