"""Ways out, good and bad, on one Postfix: all are applied at once, then tried one by one."""

from dataclasses import dataclass, field

from lab.city import City

PASSWORD = "p$1 x: y "


@dataclass(frozen=True)
class Ending:
    """How a delivery ended, by the lane's line in the log."""

    status: str
    reason: str
    delay: float  # seconds


@dataclass
class Ways:
    """Connectors, each with a sender domain of its own name."""

    city: City
    names: list[str] = field(default_factory=list)

    def add(self, name, port, tls, auth="none", *, ca=None, password=PASSWORD, host="localhost"):
        """A connector that nobody tested."""
        options = ["--host", f"{host}:{port}", "--tls", tls, "--auth", auth]
        if ca:
            options += ["--ca-file", str(ca)]
        if auth == "password":
            secret = self.city.folder / f"{name}.pw"
            secret.write_text(password)
            options += ["--username", "court", "--password-file", str(secret)]
        run = self.city.postfix.cli
        run("connector", "add", name, *options)
        run("connector", "enable", name, "--untested")
        run("sender", "link", f"@{name}.test", "--agency", "a", "--connector", name)
        self.names.append(name)

    def test(self, name):
        """What `connector test` says, the recipient included; and whether it passed."""
        arguments = ["connector", "test", name, "--to", "someone@example.net"]
        output = self.city.postfix.cli(*arguments, check=False)
        return output, "FAIL" not in output

    def send(self, name):
        """Send one message by it; its queue id."""
        reply = self.city.send(f"x@{name}.test", f"x@{name}.test", f"by {name}")
        assert reply.code == 250, reply
        return reply.queue_id

    def ending(self, queue_id):
        """Wait for the end of its first attempt."""
        pattern = rf"/pm-\S+: {queue_id}: to=.* delay=([\d.]+), .* status=(\w+) \((.*)\)"
        found = self.city.postfix.wait_for_log(pattern)
        return Ending(found[2], found[3], float(found[1]))
