"""`explain` decides with the milter's own function, and asks Postfix's own tables."""

import json
import re

import pytest

QUESTIONS = {
    "table": ("clerk@a.test", "clerk@a.test", "a-app", ["x@ext.test"]),
    "carrier": ("v+1=x@vendor.test", "clerk@a.test", "a-app", ["x@ext.test", "root@localhost"]),
    "marker": ("", "clerk@a.test", "a-app", ["x@ext.test"]),
    "null-sender-mixed": ("", "clerk@a.test", "a-app", ["x@ext.test", "root@localhost"]),
    "subdomain": ("x@q.sub.test", "x@q.sub.test", "a-app", ["x@ext.test"]),
    "extension": ("user+vip@a.test", "user+vip@a.test", "a-app", ["x@ext.test"]),
    "idn": ("q@bücher.test", "q@bücher.test", "a-app", ["x@ext.test"]),
    "default": ("v@vendor.test", "x@other.test", "a-app", ["x@ext.test"]),
    "hosted": ("v@vendor.test", "clerk@a.test", "nobody", ["root@localhost"]),
    "refused": ("v@vendor.test", "clerk@a.test", "b-app", ["x@ext.test"]),
    "quoted": ('"a b"@vendor.test', "clerk@a.test", "a-app", ["x@ext.test"]),
}


def ask(city, name):
    sender, from_, login, recipients = QUESTIONS[name]
    options = ["--header-from", from_, "--login", login, "--client", "198.51.100.1", "--json"]
    options += ["--from", sender] if sender else []
    for recipient in recipients:
        options += ["--to", recipient]
    return json.loads(city.postfix.cli("explain", *options))


@pytest.mark.parametrize("name", QUESTIONS)
def test_explain_says_what_then_happens(city, name):
    """The same message, sent: the milter's log line has the same lane, way and agency."""
    answer = ask(city, name)
    assert "differs" not in answer
    sender, from_, login, recipients = QUESTIONS[name]
    reply = city.send(sender or "<>", from_, name, recipients, login=login)
    if reply.code != 250:
        assert answer["decision"] == f"{reply.code} {reply.text}"
        return
    line = city.decision(reply.queue_id)
    lane = re.search(r"lane=(\S+),", line)
    assert answer["decision"] == (
        f"leaves by {lane[1]}" if lane else "left alone: no recipient is outbound"
    )
    assert answer["way"].partition(":")[0] == re.search(r"way=([^,]+)", line)[1]
    if lane:
        assert f"agency={answer['agency']}," in line
        assert answer["postfix says"].startswith(lane[1])


def test_explain_shows_what_is_not_applied_yet(own_city):
    """An edit that Postfix does not know yet is shown beside what counts now."""
    city = own_city
    city.postfix.stop_daemon("agent")
    city.postfix.cli("sender", "link", "clerk@a.test", "--agency", "a", "--connector", "tax")
    answer = ask(city, "table")
    assert answer["decision"] == "leaves by pm-a"
    assert "decides otherwise: leaves by pm-tax" in answer["not applied yet"]


def test_explain_notices_a_table_that_says_something_else(own_city):
    """Someone edited the table by hand: explain says that the two differ."""
    city = own_city
    table = city.postfix.config_directory / "pointsman" / "sender_transport"
    wrong = table.read_text().replace("clerk@a.test pm-a:", "clerk@a.test pm-tax:")
    table.write_text(wrong)
    city.postfix.postfix("postmap", f"lmdb:{table}")
    answer = ask(city, "table")
    # The milter sees the difference at RCPT too, and carries the message past the wrong row.
    assert answer["decision"] == "leaves by pm-a"
    assert answer["way"].startswith("carrier")


def test_explain_notices_a_missing_carrier_row(own_city):
    """A carrier without its row would take the default relay: explain warns."""
    city = own_city
    city.postfix.stop_daemon("agent")  # it may look once more, and would mend it
    table = city.postfix.config_directory / "pointsman" / "sender_transport"
    lines = [line for line in table.read_text().splitlines() if not line.startswith("@a.a.pm")]
    table.write_text("\n".join(lines) + "\n")
    city.postfix.postfix("postmap", f"lmdb:{table}")
    assert "run pointsman apply" in ask(city, "carrier")["differs"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--from", '"open@x.test'], "unbalanced quotes"),
        (["--from", "a@b.test", "--client", "300.1.1.1"], "is not an IP address"),
        ([], "give --from, --header-from or both"),
    ],
)
def test_malformed_question(city, arguments, sentence):
    """One sentence, status 2."""
    result = city.postfix.run_cli("explain", *arguments)
    assert result.returncode == 2
    assert sentence in result.stderr
