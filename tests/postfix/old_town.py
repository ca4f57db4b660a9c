"""A Postfix with servers around it that knows nothing of Pointsman yet, and what becomes of it."""

import json
import re
import shutil
from contextlib import contextmanager

from lab.certs import Authority
from lab.city import City, new_folder
from lab.instance import Instance
from lab.nexthop import NextHop

LOGINS = {"court": "c0urt $1 #pass:x", "police": "p0lice\\$$ {x}", "tax": 'täx "pass'}


def add_map(city, kind, name, rows):
    """Write a table and return what main.cf calls it."""
    path = city.postfix.config_directory / name
    path.write_text("".join(f"{key} {value}\n" for key, value in rows.items()))
    path.chmod(0o600 if "passwd" in name else 0o644)
    if kind in ("hash", "lmdb"):
        city.postfix.postfix("postmap", f"{kind}:{path}")
    return f"{kind}:{path}"


@contextmanager
def old_town():
    """A running instance with four servers; `default` is its relayhost."""
    folder = new_folder()
    city = City(folder, Instance(folder / "postfix"), Authority.create(folder / "ca"))
    try:
        for name, tls, logins in (
            ("shared", "starttls", ("court", "police")),
            ("tax", "tls", ("tax",)),
            ("plain", "none", ()),
            ("default", "none", ()),
        ):
            certificate = None if tls == "none" else city.authority.issue("localhost")
            known = {login: LOGINS[login] for login in logins}
            hop = NextHop(name, known, certificate=certificate, implicit_tls=tls == "tls")
            city.hops[name] = hop.start()
        default = city.hops["default"].port
        city.postfix.create({"relayhost": f"[127.0.0.1]:{default}"})
        city.postfix.start()
        yield city
    finally:
        city.postfix.stop()
        for hop in city.hops.values():
            hop.stop()
        shutil.rmtree(folder, ignore_errors=True)


def ways(city, senders, round_):
    """Where a message of each sender arrives, as whom, in TLS or not, and what greets there."""
    for sender in senders:
        assert city.send(sender, sender, f"{sender} {round_}").code == 250
    found = {}
    for sender in senders:
        (message,) = city.arrived(f"{sender} {round_}")
        found[sender] = (message.server, message.login, message.password, message.tls, message.helo)
    return found


def move_in(city):
    """Set Pointsman up beside it."""
    city.postfix.cli("setup", "--no-probe")
    for daemon in ("policy", "milter", "agent"):
        city.postfix.start_daemon(daemon)


def enable_all(city, done, ca_file=""):
    """Enable what an import told to, and wait until all of it counts."""
    for name in re.findall("connector enable (.*)", done):
        shown = json.loads(city.postfix.cli("connector", "show", name, "--json"))
        if ca_file and shown["tls"] == "starttls":
            city.postfix.cli("connector", "set", name, "--ca-file", ca_file)
        city.postfix.cli("connector", "enable", name)
    city.settle()
    city.outlast_memory()
