"""Addresses: read as Postfix reads them, found under one key, carried to the letter."""

import re
from contextlib import suppress

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pointsman.postfix.render import DECODE
from pointsman.routing.address import (
    NULL,
    Address,
    AddressError,
    carried_by,
    carrier_domain,
    carry,
    is_carrier,
    lookup_keys,
    normal_domain,
    normal_local,
    parse_path,
    quote_local,
    split_address,
    unicode_domain,
)

# What turns up in addresses and matters to a reader, among anything else.
AWKWARD = st.sampled_from('ab1=@"\\ +.%!<>,:;()[]-_\u00fc\u00df\u0301\u3002\u00a0')
TEXT = st.text(AWKWARD | st.characters(), max_size=24)
PRINTABLE = st.text(
    AWKWARD | st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=24
)
HOSTS = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,4})?(\.[a-z]{2,5}){0,3}", fullmatch=True)
DOMAINS = HOSTS | st.sampled_from(
    [
        "b\u00fccher.test",
        "XN--BCHER-KVA.Test",
        "[192.0.2.1]",
        "[IPv6:2001:db8::1]",
        "stra\u00dfe.at",
    ]
)


@pytest.mark.parametrize(
    ("path", "local", "domain"),
    [
        ("<clerk@a.test>", "clerk", "a.test"),
        ("clerk@a.test", "clerk", "a.test"),
        ("  < clerk@a.test > ", "clerk", "a.test"),
        ("<Clerk@A.Test>", "Clerk", "A.Test"),
        ("<clerk@a.test.>", "clerk", "a.test"),
        ("<>", "", ""),
        ("", "", ""),
        ('<"a b"@v.test>', "a b", "v.test"),
        ('<"a@b"@v.test>', "a@b", "v.test"),
        (r'<"a\"b"@v.test>', 'a"b', "v.test"),
        (r'<"a\\b"@v.test>', "a\\b", "v.test"),
        (r"<a\ b@v.test>", "a b", "v.test"),
        ('<a."b c".d@v.test>', "a.b c.d", "v.test"),
        ('<"">', "", "mx.test"),
        ("<a@b@c.test>", "a@b", "c.test"),
        ("<@one.test,@two.test:clerk@a.test>", "clerk", "a.test"),
        ("<clerk@[192.0.2.1]>", "clerk", "[192.0.2.1]"),
        ("<z\u00fcrich@b\u00fccher.test>", "z\u00fcrich", "b\u00fccher.test"),
        ("<clerk>", "clerk", "mx.test"),
        ("<bounce+x=y@v.test>", "bounce+x=y", "v.test"),
    ],
)
def test_path_is_read_as_sent(path, local, domain):
    """An SMTP path gives its local part unquoted and its domain without the last dot."""
    assert Address(local, domain) == parse_path(path, "mx.test")


@pytest.mark.parametrize(
    ("path", "local", "domain"),
    [
        ("<a.test!clerk>", "clerk", "a.test"),
        ("<a.test!b.test!clerk>", "b.test!clerk", "a.test"),
        ("<clerk%a.test>", "clerk", "a.test"),
        ("<clerk%b.test%a.test>", "clerk%b.test", "a.test"),
        ("<court.a.pm.invalid!clerk=a.test>", "clerk=a.test", "court.a.pm.invalid"),
        ("<clerk%b.test@a.test>", "clerk%b.test", "a.test"),
        ("<b.test!clerk@a.test>", "b.test!clerk", "a.test"),
        ('<"a.test!clerk">', "a.test!clerk", "mx.test"),
        ('<"clerk%a.test">', "clerk%a.test", "mx.test"),
    ],
)
def test_forms_without_at_are_read_as_postfix_rewrites_them(path, local, domain):
    """Postfix makes `domain!user` and `user%domain` an address before the table is asked.

    swap_bangpath and allow_percent_hack are on by default (rewrite.c), and count for
    what is unquoted and has no `@`: read otherwise, a sender passes "may they?".
    """
    assert Address(local, domain) == parse_path(path, "mx.test")


@pytest.mark.parametrize("path", ['<"clerk@a.test>', '<a"b@a.test>', '"', "<clerk@a.test\\>", "\\"])
def test_unbalanced_quotes_are_no_address(path):
    """What can't be read without guessing raises AddressError."""
    with pytest.raises(AddressError, match="unbalanced quotes"):
        parse_path(path)


@given(TEXT)
def test_any_path_is_read_or_refused(text):
    """Any text gives an Address or AddressError, and nothing else."""
    with suppress(AddressError):
        assert isinstance(parse_path(text, "mx.test"), Address)


@pytest.mark.parametrize(
    ("local", "quoted"),
    [
        ("clerk", "clerk"),
        ("a.b", "a.b"),
        ("v+1=x/{y}~|'^!", "v+1=x/{y}~|'^!"),
        ("z\u00fcrich", "z\u00fcrich"),
        ("a b", '"a b"'),
        (".a", '".a"'),
        ("a..b", '"a..b"'),
        ("a.", '"a."'),
        ("a@b", '"a@b"'),
        ('a"b', r'"a\"b"'),
        ("a\\b", r'"a\\b"'),
        ("", '""'),
        ("a,b", '"a,b"'),
        ("a\tb", '"a\tb"'),
    ],
)
def test_local_part_is_quoted_where_it_must_be(local, quoted):
    """A dot-string stays bare, anything else is quoted and escaped (RFC 5321)."""
    assert quoted == quote_local(local)


@given(TEXT.filter(bool), DOMAINS)
@example("\u00a0clerk", "a.test")
@example("clerk\u0085", "a.test")
def test_writing_and_reading_are_inverse(local, domain):
    """An address written as SMTP does reads back as itself."""
    address = Address(local, domain)
    assert address == parse_path(f"<{address}>")


def test_null_sender_is_written_as_nothing():
    """The null sender is known as such, and its text is empty."""
    assert NULL.null
    assert not str(NULL)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("clerk@a.test", "CLERK@A.TEST"),
        ("clerk@a.test", "clerk@a.test."),
        ("clerk@a.test", '"clerk"@a.test'),
        ("x@b\u00fccher.test", "x@xn--bcher-kva.test"),
        ("x@B\u00dcCHER.test", "x@XN--BCHER-KVA.TEST"),
        ("x@bu\u0308cher.test", "x@b\u00fccher.test"),
        ("x@a\u3002test", "x@a.test"),
        ("x@\uff41.test", "x@a.test"),
        ("z\u00fcrich@a.test", "zu\u0308rich@a.test"),
        ("Z\u00dcRICH@a.test", "z\u00fcrich@a.test"),
        ("x@_dmarc.b\u00fccher.test", "x@_dmarc.xn--bcher-kva.test"),
        ("x@b\u00fccher.test\u3002", "x@b\u00fccher.test"),
    ],
)
def test_equal_addresses_have_one_key(one, other):
    """Case, the last dot, quotes, Unicode forms and A- or U-labels make no difference."""
    assert parse_path(one).key == parse_path(other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x@strasse.at", "x@stra\u00dfe.at"),
        ("clerk@a.test", "clerk@b.test"),
        ("a.b@a.test", "ab@a.test"),
        ("x@a.test", "x@sub.a.test"),
        ("zurich@a.test", "z\u00fcrich@a.test"),
    ],
)
def test_different_addresses_have_different_keys(one, other):
    """Nothing else is folded together."""
    assert parse_path(one).key != parse_path(other).key


@given(TEXT)
@example("a..")
@example("b\u00fccher.test\u3002")
def test_normalising_a_domain_twice_changes_nothing(text):
    """A domain's normal form is its own normal form."""
    once = normal_domain(text)
    assert once == normal_domain(once)


@given(TEXT)
@example("\u00df\u0301")
@example("\u0149\u0301")
def test_normalising_a_local_part_twice_changes_nothing(text):
    """A local part's normal form is its own normal form."""
    once = normal_local(text)
    assert once == normal_local(once)


@given(st.text(st.characters(codec="ascii"), max_size=20), DOMAINS)
def test_key_of_a_key_is_the_key(local, domain):
    """A key read as an address has itself as its key, so that links can be named by it."""
    key = Address(local, domain).key
    assert key == Address(*key.rsplit("@", 1)).key


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        (
            "Clerk+VIP@sub.A.test",
            ["clerk+vip@sub.a.test", "clerk@sub.a.test", "@sub.a.test", "@.a.test", "@.test"],
        ),
        ("clerk@a.test", ["clerk@a.test", "@a.test", "@.test"]),
        ("clerk+@a.test", ["clerk+@a.test", "clerk@a.test", "@a.test", "@.test"]),
        ("a+b+c@a.test", ["a+b+c@a.test", "a@a.test", "@a.test", "@.test"]),
        ("+vip@a.test", ["+vip@a.test", "@a.test", "@.test"]),
        ("x@b\u00fccher.test", ["x@xn--bcher-kva.test", "@xn--bcher-kva.test", "@.test"]),
        ("clerk@a", ["clerk@a", "@a"]),
    ],
)
def test_lookup_goes_from_precise_to_general(path, keys):
    """user+ext@domain, user@domain, @domain, then @.parent of each parent."""
    assert keys == list(lookup_keys(parse_path(path)))


@pytest.mark.parametrize(
    ("domain", "shown"),
    [
        ("xn--bcher-kva.test", "b\u00fccher.test"),
        ("a.test", "a.test"),
        ("xn--a.test", "xn--a.test"),
        ("xn--.test", "xn--.test"),
        ("a.xn--strae-oqa.at", "a.stra\u00dfe.at"),
    ],
)
def test_u_label_is_shown_where_there_is_one(domain, shown):
    """A normal domain has its U-label form; a false A-label stays as it is."""
    assert shown == unicode_domain(domain)


@given(
    st.from_regex(
        r"[a-z\u00fc\u00df\u03c3\u03c2\u0431]{1,6}(\.[a-z\u00e9]{1,5}){0,2}", fullmatch=True
    )
)
def test_u_label_leads_back(text):
    """The U-label form of a normal domain is the same domain."""
    domain = normal_domain(text)
    assert domain == normal_domain(unicode_domain(domain))


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("court.a.pm.invalid", True),
        ("Court.A.PM.Invalid", True),
        ("court.a.pm.invalid.", True),
        ("pm.invalid", True),
        ("PM.INVALID.", True),
        ("x.court.a.pm.invalid", True),
        ("court.a.pm\u3002invalid", True),
        ("court.a.\uff50m.invalid", True),
        ("xpm.invalid", False),
        ("pm.invalid.test", False),
        ("invalid", False),
        ("", False),
    ],
)
def test_carrier_domain_is_known_however_it_is_spelled(domain, expected):
    """Whatever Postfix might take for our domain is ours."""
    assert expected is is_carrier(Address("x", domain))


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("court.a.pm.invalid", ("court", "a")),
        ("COURT.A.pm.invalid.", ("court", "a")),
        ("pm.invalid", None),
        ("a.pm.invalid", None),
        ("x.court.a.pm.invalid", None),
        ("a.test", None),
    ],
)
def test_carrier_names_agency_and_connector(domain, expected):
    """A carrier tells whose it is, any other address nothing."""
    assert expected == carried_by(Address("v=a.test", domain))


def test_carrier_is_spelled_as_the_design_says():
    """The log shows sender, agency and lane in one address."""
    address = parse_path("<v+1@vendor.test>")
    assert carry(address, "court", "a") == "v+1=vendor.test@court.a.pm.invalid"
    assert carrier_domain("court", "a") == "court.a.pm.invalid"


@pytest.mark.parametrize(
    "address",
    [
        NULL,
        Address("clerk", ""),
        Address("", "a.test"),
        Address("clerk", "a=b.test"),
        Address("clerk", "a@b.test"),
        Address("clerk", 'a"b.test'),
        Address("clerk", "a\\b.test"),
        Address("clerk", "a b.test"),
        Address("cl\nerk", "a.test"),
        Address("cl\x00erk", "a.test"),
        Address("clerk\udcff", "a.test"),
    ],
)
def test_what_would_not_come_out_exactly_is_not_carried(address):
    """AddressError, by which the message is deferred by name and not mangled."""
    with pytest.raises(AddressError):
        carry(address, "court", "a")


def _rules():
    """The two lines of decode.pcre as Postfix compiles them (pcre_table(5))."""
    for line in DECODE.splitlines():
        pattern, replacement = re.fullmatch(r"/(.*)/ (.*)", line).groups()
        yield (
            re.compile(pattern, re.IGNORECASE | re.DOTALL),
            re.sub(r"\$(\d)", r"\\\1", replacement),
        )


RULES = list(_rules())


def decoded(carrier):
    """What Postfix sends outside: it asks with the external form, and the first match counts."""
    external = str(parse_path(f"<{carrier}>"))
    for pattern, replacement in RULES:
        match = pattern.search(external)
        if match:
            return match.expand(replacement)
    return external


@pytest.mark.parametrize(
    "path",
    [
        "v+1@vendor.test",
        "bounce+x=y@vendor.test",
        "a=b=c@vendor.test",
        '"a b"@vendor.test',
        '"a@b"@vendor.test',
        '"a=b c=d"@vendor.test',
        r'"a\"b"@vendor.test',
        r'"a\\"@vendor.test',
        '"a..b"@vendor.test',
        "z\u00fcrich@b\u00fccher.test",
        "clerk@[192.0.2.1]",
        "Clerk@Vendor.Test",
        "clerk@court.a.pm.invalid.vendor.test",
    ],
)
def test_carrier_is_decoded_exactly(path):
    """By Postfix's own rules each comes out as it went in."""
    assert parse_path(path) == parse_path(decoded(carry(parse_path(path), "court", "a-1")))


@given(PRINTABLE, DOMAINS)
@example("@", "[IPv6:2001:db8::1]")
def test_every_ordinary_sender_can_be_carried_exactly(local, domain):
    """Any local part without control characters, at any host, survives the round trip."""
    address = Address(local, domain)
    if local.startswith("@") and ":" in f"{local}{domain}":
        with pytest.raises(AddressError, match="Postfix would read a route"):
            carry(address, "court", "a-1")
        return
    carrier = carry(address, "court", "a-1")
    assert carried_by(parse_path(f"<{carrier}>")) == ("court", "a-1")
    assert address == parse_path(decoded(carrier))


@given(TEXT)
@example("a@b..")
@example("a@b.test.")
def test_any_sender_is_carried_exactly_or_not_at_all(text):
    """Whatever a client writes as its path comes out as it went in, or is not carried."""
    try:
        address = parse_path(f"<{text}>", "mx.test")
        carrier = carry(address, "court", "a-1")
    except AddressError:
        return
    assert address == parse_path(decoded(carrier))


@given(TEXT)
def test_what_is_no_carrier_is_left_alone(text):
    """The rules that decode carriers touch no other address."""
    try:
        address = parse_path(f"<{text}>", "mx.test")
    except AddressError:
        return
    assume(not is_carrier(address))
    assert all(not pattern.search(str(address)) for pattern, _ in RULES)


def test_splitting_needs_no_brackets():
    """`split_address` reads an address that stands alone, as in a table or the CLI."""
    assert Address("clerk", "a.test") == split_address("clerk@a.test")
    assert Address("clerk", "") == split_address("clerk")
