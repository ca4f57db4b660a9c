"""Two MTAs on one PostgreSQL: a change on one is live on both, and mail needs no database."""

import time
from contextlib import contextmanager

import pytest

from lab.instance import wait_until
from tests.postfix.test_postfix_routing import ROUTES
from tests.postfix.two_hosts import pair

LINK = ("--agency", "a", "--connector", "a")
LIVE = 3.0  # seconds within which a change counts everywhere
OUTAGE = 60.0  # seconds that the database is away
SAYS_SO = 15.0  # seconds within which a refused change must be refused


@pytest.fixture(scope="module")
def hosts():
    """The two, for all tests of this file: each leaves them well."""
    with pair() as found:
        yield found


def sends(host, subject, from_="clerk@a.test", envelope=None):
    """Whether a message goes through, by its lane."""
    reply = host.send(envelope or from_, from_, subject)
    (received,) = host.city.arrived(subject)
    return (reply.code, received.login) == (250, "court")


def refuse_changes(host):
    """A change is refused with one sentence, soon; returns the sentence."""
    start = time.monotonic()
    result = host.run("agency", "set", "a", "--description", "never")
    assert time.monotonic() - start < SAYS_SO
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: the database postgresql://pm:***@10.77.0.1:")
    assert result.stderr.count("\n") == 1
    return result.stderr


@contextmanager
def recovering(hosts):
    """What is broken in the block is mended at its end; then all is well by itself."""
    marks = {host: host.city.postfix.log_size() for host in hosts.both}
    yield marks
    # Not by `agent: well again`: an agent whose question was under way may have missed it all.
    hosts.mx2.cli("agency", "set", "a", "--description", f"back {time.time()}")
    hosts.settle(30)
    change(hosts, hosts.mx1)


def change(hosts, host):
    """A change on one host is live on both, in time."""
    host.cli("agency", "set", "a", "--description", f"{host.name} {time.time()}")
    assert hosts.settle() < LIVE


@pytest.mark.parametrize("name", ["mx1", "mx2"])
def test_each_host_routes_by_the_shared_database(hosts, name):
    """Every way that a message takes on SQLite, it takes on PostgreSQL, on both hosts."""
    host = hosts.hosts[name]
    sent = []
    for number, (from_, envelope, login, *expected) in enumerate(ROUTES.values()):
        reply = host.send(envelope, from_, f"{name} {number}", login=login)
        assert reply.code == 250, reply
        sent.append((reply.queue_id, f"{name} {number}", expected))
    for queue_id, subject, (lane, login, way) in sent:
        (received,) = host.city.arrived(subject)
        decision = host.city.decision(queue_id)
        assert (received.login, f"lane={lane}," in decision) == (login, True)
        assert f"way={way}," in decision


@pytest.mark.parametrize("name", ["mx1", "mx2"])
def test_change_on_one_host_is_live_on_both(hosts, name):
    """Within 3 seconds; and `host list` shows it, on either."""
    host = hosts.hosts[name]
    output = host.cli("sender", "link", f"@{name}.test", "--agency", "a", "--connector", "b")
    assert output.endswith("live within 3 s; see `pointsman host list`\n")
    assert hosts.settle() < LIVE
    for each in hosts.both:
        reply = each.send(f"x@{name}.test", f"x@{name}.test", f"{name} at {each.name}")
        (received,) = each.city.arrived(f"{name} at {each.name}")
        assert (reply.code, received.login) == (250, "police")
        rows = [each.row(other) for other in hosts.hosts]
        assert [row["state"] for row in rows] == ["live", "live"]
        assert {row["applied"] for row in rows} == {rows[0]["newest"]}
        assert [row["this"] for row in rows] == [other is each for other in hosts.both]


def test_edits_on_both_hosts_at_once_are_all_kept(hosts):
    """Ten on each, as fast as they can: twenty revisions, twenty links, live on both."""
    before = hosts.mx1.row()["newest"]
    tasks = [
        host.start("sender", "link", f"u{number}@{host.name}.test", *LINK)
        for number in range(5)
        for host in hosts.both
    ]
    assert [task.wait(60) for task in tasks] == [0] * 10
    hosts.settle()
    expected = [before + 10] * 2
    # Each host writes its row when it has applied, so a moment after its milter knows.
    wait_until(
        lambda: [host.row(host.name)["applied"] for host in hosts.both] == expected,
        "both hosts to say what they have applied",
    )
    listed = hosts.mx1.cli("sender", "list", "--json")
    assert all(f'"u{n}@{host.name}.test"' in listed for n in range(5) for host in hosts.both)


def test_host_without_the_key_is_told_whose_to_copy(hosts):
    """It makes none of its own: that would open nothing."""
    path = hosts.mx2.city.postfix.folder / "secret.key"
    key = path.read_bytes()
    try:
        for other in (None, b"q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="):
            path.unlink() if other is None else path.write_bytes(other)
            result = hosts.mx2.run("setup")
            assert result.returncode == 1
            assert "the database is sealed with another key" in result.stderr
            assert f"copy the key file of mx1, mx2 to {path}, mode 600" in result.stderr
            assert path.exists() == (other is not None)
            path.touch(0o600)
    finally:
        path.write_bytes(key)
    assert "-- set up" in hosts.mx2.cli("setup")


def test_stopped_server_stops_no_mail(hosts):
    """For a whole minute: mail flows on both, changes are refused, daemons may be restarted.

    A minute outlasts all that is remembered: qmgr's last answers, rows that changed, connections.
    """
    for host in hosts.both:
        host.cli("sender", "link", f"@{host.name}-late.test", *LINK)
    hosts.settle()
    with recovering(hosts) as marks:
        hosts.postgres.stop()
        start = time.monotonic()
        try:
            for host in hosts.both:
                assert "Connection refused" in refuse_changes(host)
            status = hosts.mx1.run("status")
            assert "revision unknown, applied " in status.stdout
            assert "Connection refused" in status.stderr
            rounds(hosts, "early", start + OUTAGE / 2)
            for name in ("milter", "policy", "agent"):
                hosts.mx2.restart(name)
            rounds(hosts, "late", start + OUTAGE)
            for host in hosts.both:
                assert "Connection refused" in refuse_changes(host)
        finally:
            hosts.start_postgres()
        assert time.monotonic() - start >= OUTAGE
    log = hosts.mx1.city.postfix.log(marks[hosts.mx1])
    assert "agent: well again" in log
    assert log.count("Connection refused") <= 4, "each part says it once"


def rounds(hosts, name, end):
    """Mail of the table and of carriers on both hosts, round after round, until a moment."""
    number = 0
    while number == 0 or time.monotonic() < end:
        number += 1
        for host in hosts.both:
            subject = f"{name} {number} {host.name}"
            assert sends(host, f"table {subject}")
            assert sends(host, f"carried {subject}", envelope="v+1=x@vendor.test")
            assert sends(host, f"linked late {subject}", f"x@{host.name}-late.test")
    assert number >= 3, "mail must flow all the time"


def test_server_that_says_nothing_stops_no_mail(hosts):
    """Its processes are stopped: connections stand, and questions have no answer."""
    with recovering(hosts) as marks:
        hosts.postgres.freeze()
        try:
            for host in hosts.both:
                assert sends(host, f"frozen {host.name}")
            assert "can't be used" in refuse_changes(hosts.mx1)
            for host in hosts.both:
                away = "agent: the database .* can't be used"
                host.city.postfix.wait_for_log(away, marks[host], 30)
        finally:
            hosts.postgres.thaw()


def test_read_only_server_serves_and_refuses_changes(hosts):
    """As after a failover: what is read is read, and nothing is in trouble but the changes."""
    marks = {host: host.city.postfix.log_size() for host in hosts.both}
    hosts.postgres.set("default_transaction_read_only", "on")
    try:
        assert "takes no changes, it is read-only" in refuse_changes(hosts.mx1)
        for host in hosts.both:
            assert sends(host, f"read-only {host.name}")
            host.city.postfix.wait_for_log("host list is not told of this host", marks[host])
    finally:
        hosts.postgres.set("default_transaction_read_only", "off")
    again = ("agency", "set", "a", "--held-max", "99")
    wait_until(lambda: hosts.mx1.run(*again).returncode == 0, "the server to take changes")
    assert hosts.settle() < LIVE
    for host in hosts.both:
        assert "agent: the database" not in host.city.postfix.log(marks[host])


def test_server_without_a_free_connection_stops_no_mail(hosts):
    """Others have taken them all."""
    with recovering(hosts):
        hosts.postgres.sql("ALTER ROLE pm CONNECTION LIMIT 0")
        hosts.postgres.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pm'"
        )
        try:
            for host in hosts.both:
                assert sends(host, f"crowded {host.name}")
                assert "too many connections" in refuse_changes(host)
                host.city.postfix.wait_for_log("agent: .*too many connections")
        finally:
            hosts.postgres.sql("ALTER ROLE pm CONNECTION LIMIT -1")


def test_cut_wire_of_one_host_leaves_the_other_alone(hosts):
    """For ten seconds and more: mail flows on both, and the one that was cut off catches up."""
    mark = hosts.mx1.city.postfix.log_size()
    # What it has applied, it writes down a moment after its milter knows.
    wait_until(lambda: hosts.mx2.row("mx1")["behind"] == 0, "mx1 to say what it has applied")
    hosts.mx1.node.cut()
    start = time.monotonic()
    try:
        hosts.mx2.cli("agency", "set", "a", "--description", "while mx1 is cut off")
        wait_until(lambda: hosts.mx2.row("mx2")["behind"] == 0, "mx2 to go on", LIVE)
        assert hosts.mx2.row("mx1")["behind"] == 1
        for host in hosts.both:
            assert sends(host, f"cut {host.name}")
        assert "can't be used" in refuse_changes(hosts.mx1)
        hosts.mx1.city.postfix.wait_for_log("agent: the database .* can't be used", mark, 30)
        wait_until(lambda: time.monotonic() - start > 10, "ten seconds to be over")
    finally:
        hosts.mx1.node.mend()
    hosts.settle(30)
    change(hosts, hosts.mx1)
    wait_until(lambda: hosts.mx2.row("mx1")["state"] == "live", "mx2 to hear of it")


def test_usage_is_of_both_hosts_and_of_each(hosts):
    """Each policy daemon writes rows of its own; a host that never was is no idle one."""
    text = hosts.mx1.cli("usage", "a")
    assert "of mx1, mx2 together; LEFT is that of mx1 alone" in text
    of_mx2 = ("usage", "a", "--host", "mx2")
    wait_until(lambda: hosts.mx1.run(*of_mx2).returncode == 0, "mx2 to report", 60)
    assert "of mx1, mx2" not in hosts.mx1.cli(*of_mx2)
    result = hosts.mx1.run("usage", "--host", "mx3")
    assert "no host 'mx3' ever wrote usage" in result.stderr


def test_host_that_is_gone_is_removed_and_one_that_lives_comes_back(hosts):
    """So removing one by mistake does no harm."""
    hosts.mx1.cli("host", "remove", "mx2")
    wait_until(lambda: '"host": "mx2"' in hosts.mx1.cli("host", "list", "--json"), "mx2 to be back")
    assert hosts.mx1.row("mx2")["state"] == "live"
    assert hosts.mx1.run("host", "remove", "mx3").returncode == 1
