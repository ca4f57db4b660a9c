"""oauth2 connectors end to end: a real Postfix, tokens by HTTP, XOAUTH2 over TLS."""

import re
import signal
import smtplib
from collections import Counter

import pytest

from lab.client import begin
from lab.instance import wait_until
from lab.submission import Submission
from pointsman.postfix.lane import Tables, lmtp_name, parameters
from pointsman.store.records import Connector
from tests.postfix.oauth_town import MAILBOX, access, arrived, deliveries, oauth_town
from tests.postfix.test_postfix_hostile import hostile


@pytest.mark.parametrize(
    ("flow", "tls"), [("client-credentials", "starttls"), ("service-account", "tls")]
)
def test_app_only_mail_is_delivered(flow, tls):
    """No person agrees; the server sees the mailbox's login, and the sender as written."""
    with oauth_town(flow, tls=tls) as city:
        city.send("bounce@vendor.test", "clerk@a.test", "hello")
        transaction = arrived(city, "hello")
        assert transaction.login == MAILBOX
        assert transaction.mail.startswith("MAIL FROM:<bounce@vendor.test>")
        assert transaction.recipients[0].startswith("RCPT TO:<someone@example.net>")


def test_each_recipient_gets_the_servers_own_answer():
    """One is delivered, one bounces, one waits, each with the words of the server."""
    verdicts = {"no": "550 5.1.1 no such user", "later": "452 4.2.2 mailbox full"}

    def answer(line):
        local = line.partition("<")[2].partition("@")[0]
        return verdicts.get(local, "") if line.startswith("RCPT") else ""

    with oauth_town() as city:
        city.submission.answer = answer
        people = ["yes@x.test", "no@x.test", "later@x.test"]
        queue_id = city.send("clerk@a.test", "clerk@a.test", "three", people).queue_id
        assert len(arrived(city, "three").recipients) == 1
        wait_until(lambda: len(deliveries(city, queue_id)) == 3, "three outcomes")
        found = deliveries(city, queue_id)
        assert {to: status for to, (status, _) in found.items()} == {
            "yes@x.test": "sent",
            "no@x.test": "bounced",
            "later@x.test": "deferred",
        }
        assert "taken by submission.lab" in found["yes@x.test"][1]
        assert "550 5.1.1 no such user" in found["no@x.test"][1]
        assert "452 4.2.2 mailbox full" in found["later@x.test"][1]


def test_an_answer_to_the_text_is_every_recipients():
    """The server has one answer for all; each recipient has it."""
    with oauth_town() as city:
        city.submission.answer = lambda line: "554 5.6.0 not this text" if line == "." else ""
        people = ["one@x.test", "two@x.test"]
        queue_id = city.send("clerk@a.test", "clerk@a.test", "text", people).queue_id
        wait_until(lambda: len(deliveries(city, queue_id)) == 2, "two outcomes")
        for status, why in deliveries(city, queue_id).values():
            assert status == "bounced"
            assert "554 5.6.0 not this text" in why


def test_parameters_pass_through():
    """DSN's of MAIL and RCPT, SMTPUTF8 and 8BITMIME, as the client said them."""
    with oauth_town() as city, smtplib.SMTP("127.0.0.1", city.postfix.port) as smtp:
        begin(smtp, "a-app")
        options = ["BODY=8BITMIME", "SMTPUTF8", "RET=HDRS", "ENVID=qq314159"]
        smtp.command_encoding = "utf-8"
        assert smtp.mail("clerk@a.test", options)[0] == 250
        assert smtp.rcpt("jürgen@x.test", ["NOTIFY=SUCCESS,FAILURE"])[0] == 250
        text = "From: clerk@a.test\r\nSubject: umlaut\r\n\r\nGrüße\r\n.\r\nend\r\n"
        assert smtp.data(text.encode())[0] == 250
        transaction = arrived(city, "umlaut")
        assert {"BODY=8BITMIME", "SMTPUTF8", "RET=HDRS", "ENVID=qq314159"} <= set(
            transaction.mail.split()
        )
        assert "NOTIFY=SUCCESS,FAILURE" in transaction.recipients[0].split()
        assert "RCPT TO:<jürgen@x.test>" in transaction.recipients[0]
        assert transaction.data.endswith("Grüße\r\n.\r\nend\r\n".encode())


def test_a_server_without_smtputf8_gets_no_such_mail():
    """lmtp(8) hears what the server offers, and bounces what it could not take."""
    with oauth_town() as city:
        city.submission.extensions = ("8BITMIME",)
        smtp = smtplib.SMTP("127.0.0.1", city.postfix.port)
        begin(smtp, "a-app")
        smtp.command_encoding = "utf-8"
        smtp.mail("clerk@a.test", ["SMTPUTF8"])
        smtp.rcpt("jürgen@x.test")
        smtp.data(b"From: clerk@a.test\r\nSubject: no\r\n\r\n\r\n")
        smtp.quit()
        city.postfix.wait_for_log(r"SMTPUTF8 is required, but was not offered")
        assert city.submission.received == []


def test_a_token_that_the_server_refuses_is_renewed_without_an_admin():
    """The mail waits, the agent gets a new token at once, and the mail goes."""
    with oauth_town() as city:
        city.provider.valid.clear()
        queue_id = city.send("clerk@a.test", "clerk@a.test", "refused once").queue_id
        arrived(city, "refused once", 40)
        log = city.postfix.log()
        assert "connector a can't log in: localhost answers AUTH with 535" in log
        assert re.search(rf"{queue_id}: .*status=deferred .*535 5.7.3", log)
        assert "status=bounced" not in log


def test_a_token_is_renewed_before_it_ends():
    """Mail goes on for several lives of a token, and not one login is refused."""
    with oauth_town(lifetime=6.0) as city:
        start = len(city.provider.requests)
        wait_until(lambda: len(city.provider.requests) >= start + 4, "four renewals", 40)
        city.send("clerk@a.test", "clerk@a.test", "later")
        arrived(city, "later")
        assert "refused" not in city.submission.logins
        assert "token=renewed" in city.postfix.log()


def test_revoked_mail_waits_and_goes_when_the_provider_agrees_again():
    """An alarm at the first refusal; mail goes on with the old token, then waits, unbounced."""
    with oauth_town(lifetime=20.0) as city:
        city.provider.down = "invalid_client"
        city.postfix.wait_for_log(r"connector a gets no new access token: .*invalid_client", 0, 40)
        city.send("clerk@a.test", "clerk@a.test", "old token")
        arrived(city, "old token")
        wait_until(lambda: access(city)["token"] == "", "the token to end", 40)
        queue_id = city.send("clerk@a.test", "clerk@a.test", "waits").queue_id
        city.postfix.wait_for_log(rf"{queue_id}: .*status=deferred .*invalid_client")
        city.provider.down = ""
        city.postfix.wait_for_log(r"connector a gets access tokens again", 0, 60)
        arrived(city, "waits")
        log = city.postfix.log()
        assert "status=bounced" not in log
        assert log.count("gets no new access token") == 1


def test_a_killed_helper_loses_nothing():
    """Kill -9 during DATA, twice, with 100 messages on their way: each arrives, none bounces."""
    with oauth_town() as city:
        server = city.submission
        server.stalls = frozenset({10, 50})
        for number in range(100):
            city.send("clerk@a.test", "clerk@a.test", f"m{number}", body="x" * 500)
        for stalled in sorted(server.stalls):
            wait_until(lambda n=stalled: server.texts >= n, f"text {stalled}", 40)
            city.postfix.stop_daemon("submit", signal.SIGKILL)
            city.postfix.start_daemon("submit")
            city.postfix.postfix("postqueue", "-f")
        wait_until(lambda: emptied(city), "the queue to empty", 90)
        seen = Counter(t.subject for t in server.received)
        assert set(seen) == {f"m{number}" for number in range(100)}
        # At worst one that was taken at the very moment, for each lmtp(8) at work.
        assert sum(seen.values()) - 100 <= 2 * 5
        assert server.most <= 5 + 5  # those of a killed helper may be open a moment longer
        assert "status=bounced" not in city.postfix.log()


def emptied(city):
    """Whether the queue is empty; what waits is tried again."""
    queue = city.postfix.queue()
    if queue and all(q["queue_name"] == "deferred" for q in queue):
        city.postfix.postfix("postqueue", "-f")
    return not queue


def test_connections_are_used_again():
    """Twenty messages, one after the other, over one connection to the server."""
    with oauth_town() as city:
        city.send("clerk@a.test", "clerk@a.test", "first")
        arrived(city, "first")
        start = city.submission.connections
        for number in range(20):
            city.send("clerk@a.test", "clerk@a.test", f"m{number}")
            arrived(city, f"m{number}")
        assert city.submission.connections == start


def test_main_cf_changes_nothing_of_the_lane():
    """All that it states, at its worst in main.cf; the carrier is decoded all the same."""
    with oauth_town() as city:
        trap = city.hops["tax"]
        worst = {lmtp_name(name): value for name, value in hostile(city, trap).items()}
        worst |= {"lmtp_connection_cache_destinations": "static:all"}
        stated = parameters(Connector("a", auth="oauth2"), Tables(city.postfix.folder))
        shared = {"syslog_name", "lmtp_connection_cache_on_demand"}
        assert set(stated) - shared <= set(worst)
        city.postfix.set(**{name: worst[name] for name in set(stated) - shared})
        city.send("bounce+1=x@vendor.test", "clerk@a.test", "hostile")
        transaction = arrived(city, "hostile")
        assert transaction.mail.startswith("MAIL FROM:<bounce+1=x@vendor.test>")
        assert not [name for name in transaction.message if name.startswith("X-Pointsman")]
        assert trap.received == []


def test_null_sender_mail_takes_the_lane_without_its_marker():
    """FILTER leads to the helper's socket, and lmtp(8) takes the header out."""
    with oauth_town() as city:
        city.send("", "clerk@a.test", "null")
        transaction = arrived(city, "null")
        assert transaction.mail.startswith("MAIL FROM:<>")
        assert b"X-Pointsman" not in transaction.data


def test_device_is_authorized_while_mail_waits():
    """Enabled untested, its mail waits and says what to do; then it goes by itself."""
    with oauth_town("device") as city:
        city.cli("connector", "enable", "a", "--untested")
        queue_id = city.send("clerk@a.test", "clerk@a.test", "device").queue_id
        city.postfix.wait_for_log(rf"{queue_id}: .*status=deferred .*connector authorize a")
        city.provider.device_answers = ["authorization_pending"]
        city.postfix.cli("connector", "authorize", "a")
        arrived(city, "device")
        assert "status=bounced" not in city.postfix.log()


def test_enable_logs_in_with_a_token():
    """Where the server takes it not, nothing goes live."""
    with oauth_town("device") as city:
        refused = city.postfix.cli("connector", "enable", "a", check=False)
        assert "not authorized: run `pointsman connector authorize a`" in refused
        city.postfix.cli("connector", "authorize", "a")
        city.provider.valid.clear()
        refused = city.postfix.cli("connector", "enable", "a", check=False)
        assert "failed at AUTH: 535 5.7.3 Authentication unsuccessful" in refused
        city.provider.valid.add(city.provider.given[-2])
        assert "ok   AUTH" in city.postfix.cli("connector", "enable", "a")


def test_a_setting_that_changes_is_the_helpers_at_once():
    """Another host takes the next message, and none goes to the former one."""
    with oauth_town() as city:
        former = city.submission
        city.submission = Submission(city.provider, city.authority.issue("localhost")).start()
        try:
            city.cli("connector", "set", "a", "--host", f"localhost:{city.submission.port}")
            city.send("clerk@a.test", "clerk@a.test", "new host")
            arrived(city, "new host")
            assert former.received == []
        finally:
            city.submission.stop()
