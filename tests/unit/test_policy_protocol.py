"""Postfix's policy protocol: requests out of bytes, however they were cut, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.milter.asking import Policy
from pointsman.policy.protocol import (
    _ATTRIBUTES,
    MAX_REQUEST,
    MAX_VALUE,
    ProtocolError,
    Requests,
    brief,
    reply,
)
from pointsman.routing.charge import Charge

REQUEST = (
    b"request=smtpd_access_policy\nprotocol_state=END-OF-MESSAGE\nqueue_id=4Q1\nsender=a=b\n\n"
)
PARSED = {
    "request": "smtpd_access_policy",
    "protocol_state": "END-OF-MESSAGE",
    "queue_id": "4Q1",
    "sender": "a=b",
}
STREAM = REQUEST + b"a=1\r\nb=\xff\r\n\r\n" + REQUEST


def fed(*pieces):
    """The requests that come out, and whether the connection is still good after them."""
    requests, found = Requests(), []
    for piece in pieces:
        try:
            found += requests.feed(piece)
        except ProtocolError:
            return found, False
    return found, True


def test_request_is_read():
    """Name and value, the first `=` between them."""
    assert fed(REQUEST) == ([PARSED], True)


def test_pipelined_requests_are_all_read():
    """Several in one segment come out in order."""
    assert fed(STREAM) == ([PARSED, {"a": "1", "b": "\udcff"}, PARSED], True)


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_cut_anywhere_is_the_same(cut):
    """Two segments mean what one does, wherever they part."""
    assert fed(STREAM[:cut], STREAM[cut:]) == fed(STREAM)


def test_byte_by_byte_is_the_same():
    """A client that writes single bytes is understood."""
    assert fed(*(STREAM[i : i + 1] for i in range(len(STREAM)))) == fed(STREAM)


@given(st.lists(st.sampled_from([b"a=b", b"\n", b"\r\n", b"\rx", b"c", b"=", b"\0", b"\xff\xfe"])))
def test_what_is_good_is_good_in_any_pieces(pieces):
    """A stream that is accepted whole gives the same requests piece by piece."""
    whole = fed(b"".join(pieces))
    if whole[1]:
        assert fed(*pieces) == whole


VALUES = st.sampled_from(
    [
        b"",
        b"x",
        b"a=b",
        b"\xff",
        b"\0",
        b"\r",
        b"y\r",
        b"1",
        b"u@h",
        b"v@h",
        b"h",
        b"w@",
        "\u00fc".encode(),
    ]
)
USUAL = {b"request": b"smtpd_access_policy", b"protocol_state": b"END-OF-MESSAGE"} | dict.fromkeys(
    (b"queue_id", b"instance", b"recipient_count"), b"1"
)
MILTERS = [*USUAL, b"agency", b"connector", b"counter", b"revision"]
ORDERS = st.just([name.encode() for name in _ATTRIBUTES]) | st.just(MILTERS)
TAILS = st.lists(
    st.sampled_from([b"policy_context", b"mail_version", b"sender", b"agency", b"exempt", b"new"]),
    max_size=2,
)
ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\n", b"\r\n", b"", b"\n\n", b"\na=b\n\n"])
MESSAGES = ("queue_id", "recipient_count")
KINDS = ("client_address", "sender", "sasl_username", "agency", "connector", "counter", "revision")


@st.composite
def requests_(draw):
    """What Postfix or our milter sends, with something odd in it now and then."""
    names = [*draw(ORDERS), *draw(st.just([]) | TAILS)]
    if draw(st.booleans()):
        place = draw(st.integers(0, len(names)))
        names[place : place + draw(st.sampled_from([0, 1]))] = draw(TAILS)
    usual = draw(st.sampled_from([True, True, False]))
    values = VALUES if draw(st.booleans()) else st.just(b"x")
    lines = [n + b"=" + ((usual and USUAL.get(n)) or draw(values)) + b"\n" for n in names]
    return b"".join(lines) + draw(ENDS)


@given(requests_())
def test_what_is_seen_at_a_glance_is_what_the_request_says(raw):
    """Or it is left to the reader that knows all of the protocol."""
    seen = brief(raw)
    if seen is not None:
        ((request,), good) = fed(raw)
        assert good
        assert seen[:2] == tuple(request[name] for name in MESSAGES)
        assert (request["request"], request["protocol_state"]) == tuple(
            value.decode() for value in list(USUAL.values())[:2]
        )


@given(ORDERS, st.data())
def test_requests_of_one_kind_say_the_same(names, data):
    """Two that differ in one value are of two kinds, if it is one that anybody reads."""
    values = {name: USUAL.get(name, b"x") for name in names}
    changed = data.draw(st.sampled_from(names))
    pair = []
    for _ in range(2):
        values[changed] = data.draw(st.sampled_from([b"1", b"", b"u@h", b"v@h", b"h", b"w@"]))
        pair.append(b"".join(b"%b=%b\n" % line for line in values.items()) + b"\n")
    seen = [brief(raw) for raw in pair]
    if None not in seen:
        ((one,), _), ((other,), _) = map(fed, pair)
        assert (seen[0][2] == seen[1][2]) == (said(one) == said(other))


def said(request):
    """What a decision rests on, but for the message's own ids and number of recipients."""
    recipient = request.get("recipient", "")
    domain = recipient.rpartition("@")[2]
    return [request.get(name) for name in KINDS], bool(recipient), domain or recipient


@pytest.mark.parametrize("tail", [b"", b"policy_context=\n", b"compatibility_level=3.6\na=\n"])
def test_request_of_postfix_is_seen_at_a_glance(tail):
    """Whatever one of its later versions may add is left to the other reader."""
    lines = [n.encode() + b"=" + USUAL.get(n.encode(), b"") + b"\n" for n in _ATTRIBUTES]
    assert (brief(b"".join([*lines, tail, b"\n"])) is None) == (b"\na=" in tail)


def test_question_of_our_milter_is_seen_at_a_glance():
    """The one that counts in service; see test_milter_asking.py for what it says."""
    question = Policy("", "send")._question(
        "4Q1", Charge("a", "c", "", 2, exempt=False, revision=7)
    )
    queue_id, count, kind = brief(question)
    assert (queue_id, count, kind) == ("4Q1", "2", "agency=a\nconnector=c\ncounter=\nrevision=7\n")


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_arbitrary_bytes_are_requests_or_a_protocol_error(pieces):
    """Nothing but ProtocolError comes out of any bytes."""
    fed(*pieces)


@pytest.mark.parametrize("piece", [b"x" * 500, b"x=" + b"y" * 4096, b"=\n" * 1000, b"\r" * 99])
def test_memory_is_bounded(piece):
    """A request without an end is refused when it is too long, and no more is kept."""
    requests = Requests()
    while len(requests._rest) + len(piece) <= MAX_REQUEST:
        assert requests.feed(piece) == []
    with pytest.raises(ProtocolError, match="more than 65,536 bytes"):
        requests.feed(piece)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a=" + b"x" * MAX_REQUEST + b"\n\n", "more than 65,536 bytes"),
        (b"a=" + b"x" * (MAX_VALUE + 1) + b"\n\n", "a value of more than 8,192"),
        (b"a=1\nb=" + b"x" * (MAX_VALUE + 1) + b"\nc=1\n\n", "a value of more than 8,192"),
        (b"a=\0\n\n", "a NUL byte"),
        (b"\0\n\n", "a NUL byte"),
        (b"a=1\nb\n\n", "a line without `=`"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "a line without `=`"),
        (b"\n", "an empty request"),
        (b"\n\n", "an empty request"),
        (b"\r\n\r\n", "an empty request"),
        (b"a=1\n\n\n", "an empty request"),
    ],
)
def test_what_is_no_request(data, words):
    """The connection can't go on, and the log says why."""
    with pytest.raises(ProtocolError, match=words):
        Requests().feed(data)


@pytest.mark.parametrize("length", [MAX_VALUE - 1, MAX_VALUE])
def test_longest_value(length):
    """What is allowed is taken whole."""
    ((request,), _) = fed(b"a=" + b"x" * length + b"\n\n")
    assert len(request["a"]) == length


@pytest.mark.parametrize(
    ("data", "request_"),
    [
        (b"a=1\na=2\n\n", {"a": "2"}),
        (b"new_in_postfix_9=x\n\n", {"new_in_postfix_9": "x"}),
        (b"=\n\n", {"": ""}),
        (b"a=\n\n", {"a": ""}),
        (b"a==\n\n", {"a": "="}),
        (b"a=x\ry\n\n", {"a": "x\ry"}),
        (b"a=1\r\n\r\n", {"a": "1"}),
        ("a=z\u00fcrich\n\n".encode(), {"a": "z\u00fcrich"}),
        (b"a=z\xfcrich\n\n", {"a": "z\udcfcrich"}),
    ],
)
def test_odd_requests(data, request_):
    """The last of several counts; unknown, empty and foreign values are carried as they are."""
    assert fed(data) == ([request_], True)


@pytest.mark.parametrize(
    ("action", "data"),
    [
        ("DUNNO", b"action=DUNNO\n\n"),
        ("HOLD z\u00fcrich", "action=HOLD z\u00fcrich\n\n".encode()),
        ("HOLD \udcff", b"action=HOLD ?\n\n"),
    ],
)
def test_reply(action, data):
    """One line and an empty one, in UTF-8 whatever was asked."""
    assert data == reply(action)
