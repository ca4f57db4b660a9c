"""Case 8: the mail path needs no database, and fails closed without the milter."""

import shutil
import signal

from lab.instance import wait_until


def test_database_gone_and_agent_killed(own_city):
    """Mail still leaves by its lanes; the milter even restarts without a database."""
    city = own_city
    shutil.move(city.postfix.folder / "db", city.postfix.folder / "moved")
    city.postfix.wait_for_log(r"pointsman/agent\[\d+\]: agent: there is no database")
    city.postfix.stop_daemon("agent", signal.SIGKILL)
    for turn in range(2):
        for sender, way in (("clerk@a.test", "a"), ("v@vendor.test", "b"), ("<>", "c")):
            city.send(sender, "clerk@a.test", f"without {turn} {way}")
            assert city.arrived(f"without {turn} {way}")[0].login == "court"
        city.postfix.stop_daemon("milter")
        city.postfix.start_daemon("milter")
    shutil.move(city.postfix.folder / "moved", city.postfix.folder / "db")
    city.postfix.start_daemon("agent")
    city.cli("agency", "set", "a", "--description", "back again")


def test_milter_killed(own_city):
    """4xx for everything while it is away, nothing by a wrong lane, and it comes back."""
    city = own_city
    city.postfix.stop_daemon("milter", signal.SIGKILL)
    for sender, from_ in (("clerk@a.test", "clerk@a.test"), ("v@vendor.test", "x@other.test")):
        reply = city.send(sender, from_, "while away")
        assert 400 <= reply.code < 500, reply
    assert city.postfix.queue() == []
    city.postfix.start_daemon("milter")
    assert city.send("v@vendor.test", "clerk@a.test", "back").code == 250
    assert city.arrived("back")[0].login == "court"
    assert not any(r.subject == "while away" for h in city.hops.values() for r in h.received)


def test_milter_hangs(own_city):
    """A milter that answers nothing costs seconds, not minutes, and no mail a wrong lane."""
    city = own_city
    milter = city.postfix.daemons["milter"]
    milter.send_signal(signal.SIGSTOP)
    try:
        reply = city.send("v@vendor.test", "clerk@a.test", "hanging")
        assert reply.code == 451
    finally:
        milter.send_signal(signal.SIGCONT)
    wait_until(
        lambda: city.send("v@vendor.test", "clerk@a.test", "awake").code == 250,
        "the milter to wake",
    )
    assert city.arrived("awake")[0].login == "court"


def test_milter_stops_cleanly(own_city):
    """SIGTERM ends it with status 0."""
    assert own_city.postfix.stop_daemon("milter") == 0
    assert own_city.postfix.stop_daemon("agent") == 0
