"""Setup on a Postfix that has been lived in: nothing breaks, and teardown leaves no trace."""

import json
import shutil
import signal
from contextlib import contextmanager

import pytest

from lab.certs import Authority
from lab.city import City, new_folder
from lab.instance import Instance, wait_until
from lab.lived_in import LivedIn, Signer
from pointsman.postfix import wiring


@contextmanager
def lived_in(*, filtered=False):
    """The town's Postfix with a signer, maps and lanes, and three servers beside it."""
    folder = new_folder()
    city = City(folder, Instance(folder / "postfix"), Authority.create(folder / "ca"))
    home = LivedIn(city.postfix, Signer(folder / "dkim"))
    try:
        for name in ("relay", "partner", "school"):
            city.add_hop(name)
        city.add_hop("court", tls="starttls", logins=["court"])
        city.postfix.create({"relayhost": f"[127.0.0.1]:{city.hops['relay'].port}"})
        home.signer.start()
        ports = {name: city.hops[name].port for name in ("partner", "school")}
        home.furnish(**ports, filtered=filtered)
        city.postfix.start()
        yield city, home
    finally:
        city.postfix.stop()
        home.stop()
        for hop in city.hops.values():
            hop.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def town():
    """Without a content filter."""
    with lived_in() as found:
        yield found


def tree(city):
    """Every file of the configuration: what it says, who may read it."""
    return {
        str(path.relative_to(city.postfix.config_directory)): (
            path.read_bytes(),
            path.stat().st_mode,
            path.stat().st_uid,
        )
        for path in city.postfix.config_directory.rglob("*")
        if path.is_file()
    }


def run(city, *arguments):
    """`pointsman` as a program; what it printed."""
    result = city.postfix.run_cli(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def set_up(city, *options):
    """Setup, and the daemons."""
    said = run(city, "setup", *options)
    for name in ("policy", "milter", "agent"):
        city.postfix.start_daemon(name)
    return said


def link(city):
    """An agency with a live connector of its own."""
    cli = city.postfix.cli
    cli("agency", "add", "court", "--network", "127.0.0.0/8", "--rate", "unlimited")
    cli("connector", "add", "court", *city.connector_options("court", "court"))
    cli("connector", "enable", "court")
    city.cli("sender", "link", "@court.test", "--agency", "court", "--connector", "court")


def ways(city, home, mark):
    """By which server each of the town's kinds of mail leaves."""
    mails = {
        "plain": ("a@town.test", "x@ext.test"),
        "partner": ("a@town.test", "x@partner.test"),
        "school": ("a@school.test", "x@ext.test"),
        "alias": ("a@town.test", "info@town.test"),
        "generic": ("root@mx.lab.test", "x@ext.test"),
    }
    for kind, (sender, to) in mails.items():
        assert home.send(sender, sender, f"{kind} {mark}", to) == 250
    found = {kind: city.arrived(f"{kind} {mark}")[0] for kind in mails}
    # Who rewrites addresses on the way out breaks signatures: that is none of ours.
    signed = [received for kind, received in found.items() if kind != "generic"]
    assert all(home.signer.verifies(received) for received in signed)
    return {kind: (r.server, r.sender, r.recipients, r.helo) for kind, r in found.items()}


def test_nothing_changes_until_a_connector_is_live(town):
    """Relayhost, lanes, aliases and signatures are as they were; a second setup does nothing."""
    city, home = town
    before = ways(city, home, "before")
    said = set_up(city)
    assert "smtpd_milters = inet:127.0.0.1" in said
    assert said.index("main.cf: smtpd_milters") < said.index("-- set up")
    assert ways(city, home, "after") == before
    files = tree(city)
    assert "main.cf" not in run(city, "setup")
    assert tree(city) == files


def test_setup_says_first_what_it_would_do(town):
    """--dry-run names each change, and nothing is changed."""
    city, _ = town
    before = tree(city)
    said = run(city, "setup", "--dry-run")
    assert "main.cf: milter_header_checks = pcre:" in said
    assert "master.cf: pickup/unix -o cleanup_service_name=pointsman-cleanup" in said
    assert f"master.cf: {town[1].submission}/inet -o smtpd_milters=inet" in said
    assert said.rstrip().endswith("none made")
    assert tree(city) == before
    assert not city.postfix.state_directory.exists()


def test_teardown_is_byte_for_byte(town):
    """With lanes and a default relay in between: every file is what it was."""
    city, home = town
    before = tree(city)
    set_up(city)
    link(city)
    city.cli("connector", "default", "court")
    assert home.send("a@court.test", "a@court.test", "lane") == 250
    assert city.arrived("lane")[0].login == "court"
    city.postfix.wait_for_empty_queue()
    assert "byte for byte as before setup" in run(city, "teardown", "--yes")
    assert tree(city) == before
    assert home.send("a@court.test", "a@court.test", "gone") == 250
    assert city.arrived("gone")[0].server == "relay"


def test_teardown_keeps_what_the_admin_edited(town):
    """Exactly our lines go, also where the admin edited one of them."""
    city, home = town
    set_up(city)
    postfix = city.postfix
    main = postfix.config_directory / "main.cf"
    main.write_text(main.read_text() + "# since Monday\nmessage_size_limit = 12345678\n")
    postfix.postfix("postconf", "-e", "smtpd_milters=inet:127.0.0.1:1, $pointsman_milter")
    postfix.postfix("postconf", "-P", f"{home.submission}/inet/smtpd_tls_loglevel=1")
    link(city)
    run(city, "teardown", "--yes")
    after = main.read_text()
    assert after.endswith("# since Monday\nmessage_size_limit = 12345678\n")
    assert "smtpd_milters = inet:127.0.0.1:1\n" in after
    assert "smtp_generic_maps   =   texthash:$config_directory/generic\n" in after
    master = (postfix.config_directory / "master.cf").read_text()
    assert "smtpd_tls_loglevel=1" in master
    assert f"smtpd_milters=inet:127.0.0.1:{home.signer.port}\n" in master
    assert "pointsman_milter" not in after + master
    assert "etc/pointsman/" not in after + master
    assert "pointsman-cleanup" not in master


def test_failed_setup_leaves_nothing(town):
    """The policy daemon can't run, so mail would not be served: all comes back, with the reason."""
    city, home = town
    socket = city.postfix.queue_directory / "pointsman" / "policy.sock"
    socket.parent.mkdir()
    socket.write_text("somebody's notes")
    before = tree(city)
    result = city.postfix.run_cli("setup")
    assert result.returncode == 1
    assert "all is as it was: the policy daemon does not run" in result.stderr
    assert f"{socket} is there and is no socket" in result.stderr
    assert tree(city) == before
    assert not city.postfix.state_directory.exists()
    assert socket.read_text() == "somebody's notes"
    assert home.send("a@town.test", "a@town.test", "still") == 250


def test_smtpd_that_greets_no_more_is_noticed(town, monkeypatch):
    """A setting of ours is refused: the output has Postfix's own words, and all comes back."""
    city, home = town
    before = tree(city)
    monkeypatch.setattr(wiring, "MILTER_LIMITS", "connect_timeout=soon")
    output = city.postfix.cli("setup", check=False)
    assert "all is as it was" in output
    assert "soon" in output
    assert tree(city) == before
    assert home.send("a@town.test", "a@town.test", "still") == 250


def test_chosen_services_alone_ask(town):
    """`--services`: the others go on without us, and a second choice replaces the first."""
    city, home = town
    set_up(city, "--services", str(home.submission))
    mark = city.postfix.log_size()
    assert home.send("a@town.test", "a@town.test", "unasked") == 250
    city.arrived("unasked")
    assert "pointsman/milter" not in city.postfix.log(mark)
    run(city, "setup", "--services", "all")
    assert home.send("a@town.test", "a@town.test", "asked") == 250
    city.postfix.wait_for_log(r"pointsman/milter\[\d+\]: \w+: from=<a@town.test>", mark)
    wrong = city.postfix.run_cli("setup", "--services", "smtps")
    assert "there is no smtpd service smtps in master.cf: choose from" in wrong.stderr


def test_observe_changes_nothing_and_tells_all(town):
    """Connectors are live, senders linked, rates low: mail goes as before, until `--enforce`."""
    city, home = town
    before = ways(city, home, "before")
    set_up(city, "--observe")
    link(city)
    city.cli("agency", "add", "strict", "--login", "nobody", "--rate", "1/hour")
    city.cli("sender", "link", "@strict.test", "--agency", "strict", "--connector", "court")
    city.cli("agency", "add", "slow", "--any-client", "--rate", "1/hour")
    city.cli("sender", "link", "@slow.test", "--agency", "slow", "--connector", "court")
    mails = [
        ("a@court.test", "a@court.test", "table"),
        ("v+1@vendor.test", "a@court.test", "carrier"),
        ("", "a@court.test", "marker"),
        ("a@strict.test", "a@strict.test", "refused"),
        ("a@slow.test", "a@slow.test", "first"),
        ("a@slow.test", "a@slow.test", "second"),
    ]
    for sender, from_, subject in mails:
        assert home.send(sender, from_, subject) == 250
        received = city.arrived(subject)[0]
        assert (received.server, received.sender) == ("relay", sender)
    assert ways(city, home, "observed") == before
    rows = [json.loads(line) for line in run(city, "observed", "--json").splitlines()]
    ways_of_court = {row["way"] for row in rows if row.get("connector") == "court" and "way" in row}
    assert ways_of_court >= {"carrier", "marker", "refused"}
    said = run(city, "observed")
    assert "may not send for it" in said
    assert "held: agency slow is over its rate of 1/hour" in said
    run(city, "setup", "--enforce")
    city.settle()
    for sender, from_, subject in mails[:3]:
        assert home.send(sender, from_, f"{subject} now") == 250
        assert city.arrived(f"{subject} now")[0].server == "court"
    assert home.send("a@strict.test", "a@strict.test", "no") == 550


def test_dead_milter_costs_no_mail_while_observing(town):
    """default_action is accept: looking on must not stand in the way."""
    city, home = town
    set_up(city, "--observe")
    city.postfix.stop_daemon("milter", signal.SIGKILL)
    assert home.send("a@town.test", "a@town.test", "alone") == 250
    assert city.arrived("alone")[0].server == "relay"


def test_signatures_verify_on_every_way(town):
    """OpenDKIM signs before us: table, carrier and marker mail verify at the next hop."""
    city, home = town
    set_up(city)
    link(city)
    for sender, kind in (("a@court.test", "t"), ("v@vendor.test", "c"), ("", "m")):
        assert home.send(sender, "a@court.test", kind) == 250
        received = city.arrived(kind)[0]
        assert (received.server, received.login) == ("court", "court")
        assert home.signer.verifies(received)


def test_content_filter_keeps_its_place():
    """In front: may they, and the rate. Behind: the lane. Each message is filtered, and once."""
    with lived_in(filtered=True) as (city, home):
        assert "back" in set_up(city)
        link(city)
        city.cli("agency", "add", "strict", "--login", "nobody")
        city.cli("sender", "link", "@strict.test", "--agency", "strict", "--connector", "court")
        city.cli("agency", "add", "slow", "--network", "127.0.0.0/8", "--rate", "1/hour")
        city.cli("sender", "link", "@slow.test", "--agency", "slow", "--connector", "court")
        for sender, kind in (("a@court.test", "t"), ("v@vendor.test", "c"), ("", "m")):
            assert home.send(sender, "a@court.test", kind) == 250
            received = city.arrived(kind)[0]
            assert (received.server, received.login) == ("court", "court")
            assert received.sender == sender
            assert received.message.get_all("X-Filtered") == ["yes"]
            assert home.signer.verifies(received)
        assert home.send("a@strict.test", "a@strict.test", "no") == 550
        for subject in ("one", "two"):
            assert home.send("a@slow.test", "a@slow.test", subject) == 250
        city.arrived("one")
        wait_until(lambda: [q["queue_name"] for q in city.postfix.queue()] == ["hold"], "a hold")


def test_teardown_waits_for_mail_that_would_go_astray(town):
    """Carried mail in the queue: teardown says so; told to go on, it puts it on hold."""
    city, home = town
    before = tree(city)
    set_up(city)
    link(city)
    city.hops.pop("court").stop()
    assert home.send("v@vendor.test", "a@court.test", "carried") == 250
    wait_until(lambda: [q["queue_name"] for q in city.postfix.queue()] == ["deferred"], "a try")
    refused = city.postfix.run_cli("teardown", "--yes")
    assert refused.returncode == 1
    assert "1 queued message would leave by the wrong way" in refused.stderr
    run(city, "teardown", "--yes", "--despite-queue")
    assert [q["queue_name"] for q in city.postfix.queue()] == ["hold"]
    assert tree(city) == before


def test_setup_again_after_teardown(town):
    """Database and key stayed: everything is back, and live."""
    city, home = town
    set_up(city)
    link(city)
    run(city, "teardown", "--yes")
    run(city, "setup")
    city.settle()
    assert home.send("a@court.test", "a@court.test", "back") == 250
    assert city.arrived("back")[0].login == "court"


def test_teardown_asks_first(town):
    """Where nobody can answer it does nothing."""
    city, _ = town
    run(city, "setup")
    before = tree(city)
    result = city.postfix.run_cli("teardown")
    assert result.returncode == 1
    assert "give --yes" in result.stderr
    assert tree(city) == before
