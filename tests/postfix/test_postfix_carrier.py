"""Case 5: the carrier never leaves as an address; any envelope sender arrives exactly."""

import smtplib
import string

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lab.client import begin, message, sendmail, transaction
from pointsman.routing.address import quote_local, split_address

ATEXT = string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~"
SPECIALS = ATEXT + ' "(),.:;<>@[\\]'
LABEL = string.ascii_lowercase + string.digits

atoms = st.text(ATEXT, min_size=1, max_size=20)
dotted = (
    st.lists(atoms, min_size=1, max_size=3).map(".".join).map(lambda text: text[:64].rstrip("."))
)
quoted = st.text(SPECIALS, min_size=1, max_size=30)
foreign = st.text("äöüßéñçжд漢字" + LABEL, min_size=1, max_size=15)
labels = st.text(LABEL, min_size=1, max_size=20)
domains = st.lists(labels, min_size=1, max_size=3).map(lambda found: ".".join([*found, "test"]))
idns = st.just("münchen.test")
literals = st.sampled_from(["[192.0.2.7]", "[IPv6:2001:db8::7]"])
addresses = st.builds(
    lambda local, domain: f"{quote_local(local)}@{domain}",
    # Postfix itself refuses a leading '-' (501): it could be taken for an option. A leading
    # '@' it takes for a source route, quotes or not, where a colon follows.
    st.one_of(dotted, quoted, foreign).filter(lambda local: not local.startswith(("-", "@"))),
    st.one_of(domains, domains, idns, literals),
)

LONG = "l" * 64 + "@" + ".".join(["d" * 62] * 3 + ["e" * 61]) + ".test"
ODD = [
    "v+1=x@vendor.test",
    "a=b=c@vendor.test",
    "SRS0=abc=xy=vendor.test=bob@forward.test",
    '"a b"@vendor.test',
    '"a\\"b"@vendor.test',
    '"a\\\\"@vendor.test',
    '"a@b"@vendor.test',
    '"a=b c"@vendor.test',
    '"<x>"@vendor.test',
    '"="@vendor.test',
    '" "@vendor.test',
    "MiXeD@VeNdOr.test",
    "zürich@vendor.test",
    "q@münchen.test",
    "abc@[192.0.2.1]",
    "x-oQ/tmp@vendor.test",
    "x@host",
    "a..b@vendor.test",
    "=@vendor.test",
    "x@" + "d" * 63 + ".test",
    LONG,
]


def sent_as(city, senders):
    """Send one carried message from each address; return what the server saw for each."""
    with smtplib.SMTP("127.0.0.1", city.postfix.port) as smtp:
        begin(smtp, login="a-app")
        for number, sender in enumerate(senders):
            content = message("clerk@a.test", f"carried {number}")
            reply = transaction(smtp, sender, "x@ext.test", content)
            assert reply.code == 250, (sender, reply)
            assert "way=carrier" in city.decision(reply.queue_id)
    arrived = {r.subject: r for r in city.hops["shared"].wait_for(len(senders), 60)}
    assert {r.login for r in arrived.values()} == {"court"}
    return [arrived[f"carried {number}"].sender for number in range(len(senders))]


def same(sender, received):
    """Equal to the letter, but for quotes that nobody needs."""
    return split_address(sender) == split_address(received)


@pytest.mark.parametrize("sender", ODD)
def test_odd_senders_arrive_exactly(city, sender):
    """Quotes, signs, UTF-8 and lengths: outside it is what the client wrote."""
    (received,) = sent_as(city, [sender])
    assert "pm.invalid" not in received
    assert same(sender, received), received


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(senders=st.lists(addresses, min_size=30, max_size=30, unique=True))
def test_any_sender_arrives_exactly(shared_city, senders):
    """Whatever a client may write as an envelope sender, the next hop reads just that."""
    shared_city.clear()
    for sender, received in zip(senders, sent_as(shared_city, senders), strict=True):
        assert same(sender, received), (sender, received)


def test_align_gives_the_from_address(own_city):
    """With `envelope: align` the server sees the From address, but for the null sender."""
    city = own_city
    city.cli("connector", "set", "tax", "--envelope", "align")
    for sender, seen in [("v@vendor.test", "two@multi.test"), ("two@multi.test",) * 2, ("<>", "")]:
        city.send(sender, '"Two" <two@multi.test>', f"aligned {sender}")
        (received,) = city.arrived(f"aligned {sender}")
        assert (received.login, received.sender) == ("tax", seen)


def test_uncarriable_sender_is_deferred_by_name(city):
    """A sender that would not come out as it went in is not mangled but deferred."""
    sendmail(city.postfix, ["x@ext.test"], message("clerk@a.test", "odd"), "-f", "x@odd=dom.test")
    city.postfix.wait_for_log(r"way=deferred.*451 4.3.0 <x@odd=dom.test> can't be carried exactly")
    city.postfix.postfix("postsuper", "-d", "ALL")
    assert not any(r.subject == "odd" for hop in city.hops.values() for r in hop.received)
