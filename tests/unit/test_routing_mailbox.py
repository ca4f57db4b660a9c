"""The From field in all its forms: read without guessing, or refused; in linear time."""

from contextlib import suppress
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.routing.address import Address, AddressError
from pointsman.routing.mailbox import MAX_FIELD, mailboxes

CLERK = ["clerk@a.test"]


def read(field):
    """The mailboxes of a field, as SMTP would write them."""
    return [str(address) for address in mailboxes(field)]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("clerk@a.test", CLERK),
        (" clerk@a.test ", CLERK),
        ("<clerk@a.test>", CLERK),
        ("Clerk <clerk@a.test>", CLERK),
        ("Clerk of Court<clerk@a.test>", CLERK),
        ("J. R. Clerk <clerk@a.test>", CLERK),
        ('"Clerk, Court" <clerk@a.test>', CLERK),
        ('"boss@b.test" <clerk@a.test>', CLERK),
        (r'"A \"B\" <x@b.test>" <clerk@a.test>', CLERK),
        ("clerk@a.test <clerk@a.test>", CLERK),
        ("CLERK@A.TEST <clerk@a.test>", CLERK),
        ("clerk@a.test.", CLERK),
        ("clerk @ a . test", CLERK),
        ("clerk@a.test (boss@b.test)", CLERK),
        ("(boss@b.test) clerk@a.test", CLERK),
        ("clerk(x)@(y)a(z).(w)test", CLERK),
        (r"(a \) b@b.test) <clerk@a.test>", CLERK),
        ("<@relay.test,@two.test:clerk@a.test>", CLERK),
        ("Clerk\r\n <clerk@a.test>", CLERK),
        ("Clerk\n\t<clerk@a.test>", CLERK),
        ("clerk@\r\n a.test", CLERK),
        ('"Cl\r\n erk" <clerk@a.test>', CLERK),
        ("=?utf-8?Q?boss=40b=2Etest?= <clerk@a.test>", CLERK),
        ("=?utf-8?B?Ym9zc0BiLnRlc3Q=?= <clerk@a.test>", CLERK),
        ("=?utf-8?B?PGJvc3NAYi50ZXN0Pg==?= <clerk@a.test>", CLERK),
        ("J\udcfcrgen <clerk@a.test>", CLERK),
        ("J\u00fcrgen <clerk@a.test>", CLERK),
        ('"a b"@v.test', ['"a b"@v.test']),
        (r'"a\"b"@v.test', [r'"a\"b"@v.test']),
        ('"a@b"@v.test', ['"a@b"@v.test']),
        ('"a,b" <"a,b"@v.test>', ['"a,b"@v.test']),
        ('a."b c".d@v.test', ['"a.b c.d"@v.test']),
        ("z\u00fcrich@b\u00fccher.test", ["z\u00fcrich@b\u00fccher.test"]),
        ("z\udcc3\udcbcrich@b\udcc3\udcbccher.test", ["z\u00fcrich@b\u00fccher.test"]),
        ("clerk@[192.0.2.1]", ["clerk@[192.0.2.1]"]),
        ("a@a.test, b@b.test", ["a@a.test", "b@b.test"]),
        ("A <a@a.test>,\r\n\tB <b@b.test>", ["a@a.test", "b@b.test"]),
        ('"x, y" <a@a.test>, b@b.test (c, d@d.test)', ["a@a.test", "b@b.test"]),
        (", a@a.test,, b@b.test,", ["a@a.test", "b@b.test"]),
        ("Clerks: a@a.test, B <b@b.test>;", ["a@a.test", "b@b.test"]),
        ("Clerks: a@a.test;, b@b.test", ["a@a.test", "b@b.test"]),
        ('"The clerks": <a@a.test>;', ["a@a.test"]),
        ("Undisclosed:;", []),
        ("Undisclosed: ;", []),
        ("Undisclosed: (nobody) ;", []),
        ("", []),
        (" \r\n ", []),
        ("(only a comment)", []),
        (",", []),
    ],
)
def test_field_is_read(field, expected):
    """A well-formed field gives its mailboxes, and a name never counts as one."""
    assert expected == read(field)


@pytest.mark.parametrize(
    "field",
    [
        "clerk@a.test <other@b.test>",
        "<other@b.test> clerk@a.test",
        "<clerk@a.test> <other@b.test>",
        "clerk@a.test other@b.test",
        "clerk@a.test; other@b.test",
        "clerk@a.test@b.test",
        "clerk erk@a.test",
        "cl(x)erk@a.test",
        "<>",
        "Clerk <>",
        '""',
        '"" <"">',
        "clerk@",
        "@a.test",
        "<@a.test>",
        "Clerk <clerk@a.test",
        "Clerk clerk@a.test>",
        "<<clerk@a.test>>",
        "<clerk@a.test>>",
        '"Clerk <clerk@a.test>',
        "(Clerk <clerk@a.test>",
        "Clerk) <clerk@a.test>",
        "clerk@a.test (",
        "clerk\\@a.test",
        "clerk@a.test\\",
        'clerk@"a.test"',
        "clerk@a..t est",
        "clerk@[192.0.2.1",
        "Clerks: a@a.test",
        "a@a.test: b@b.test;",
        "Clerks: More: a@a.test;;",
        "Clerks: a@a.test;;",
        ";",
        ":;",
        "clerk@a.test, <",
        "clerk@\udcff.test",
        f"clerk@{chr(0xD800)}.test",
        "Clerk <clerk@a.test>, boss@b.test <clerk@a.test>",
    ],
)
def test_field_that_can_be_read_in_two_ways_is_refused(field):
    """Two readings, or none, raise AddressError rather than a guess."""
    with pytest.raises(AddressError):
        read(field)


@pytest.mark.parametrize(
    "field",
    [
        "(" * 1000 + "boss@b.test" + ")" * 1000 + " <clerk@a.test>",
        "clerk@a.test " + "(" * 25_000 + ")" * 25_000,
        "(x)" * 15_000 + "clerk@a.test",
        '"' + "x" * 58_000 + '" <clerk@a.test>',
    ],
    ids=["nested 1000", "nested 25000", "many comments", "long name"],
)
def test_long_and_deep_field_is_read(field):
    """Depth is no matter of the stack, and length none up to the limit."""
    assert read(field) == CLERK


def test_comment_nested_deeply_and_never_closed_is_refused():
    """An unclosed comment hides whatever follows it, so nothing is read."""
    with pytest.raises(AddressError, match="comment"):
        read("(" * 1000 + ")" * 999 + " <clerk@a.test>")


@pytest.mark.parametrize("size", [MAX_FIELD + 1, 100_000])
def test_field_that_may_have_been_cut_is_refused(size):
    """Beyond 59,000 characters pymilter may not show all of it."""
    with pytest.raises(AddressError, match="longer than 59,000 characters"):
        read("x" * (size - 15) + " <clerk@a.test>")


def test_field_of_the_full_length_is_read():
    """The limit itself is still within bounds."""
    assert read("x" * (MAX_FIELD - 15) + " <clerk@a.test>") == CLERK


def test_many_mailboxes_are_all_read():
    """None of a long list is lost."""
    expected = [f"u{number}@a.test" for number in range(3000)]
    assert expected == read(", ".join(expected))


SPECIALS = st.text(st.sampled_from('ab@.,:;<>()[]"\\ \t\r\n=?\u00fc\udcfc'), max_size=40)


@given(st.text(max_size=60) | SPECIALS)
def test_any_text_gives_a_list_or_address_error(text):
    """Nothing that a client may write raises anything else."""
    try:
        found = mailboxes(text)
    except AddressError:
        return
    assert all(isinstance(address, Address) and not address.null for address in found)


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=12)
HOSTS = st.from_regex(r"[a-z0-9]{1,8}(\.[a-z]{2,5}){1,3}", fullmatch=True)


@given(st.lists(st.tuples(WORDS, WORDS, HOSTS), min_size=1, max_size=4))
def test_what_is_written_properly_is_read_back(people):
    """Any name and any address, quoted as RFC 5322 wants it, are read exactly."""
    addresses = [Address(local, host) for _, local, host in people]
    names = [name.replace("\\", r"\\").replace('"', r"\"") for name, _, _ in people]
    field = ",\r\n ".join(f'"{n}" <{a}>' for n, a in zip(names, addresses, strict=True))
    assert addresses == list(mailboxes(field))


def seconds(field):
    """Of the CPU, the best of some readings: what the machine does besides only ever adds."""
    best = float("inf")
    for _ in range(5):
        start = process_time()
        with suppress(AddressError):
            mailboxes(field)
        best = min(best, process_time() - start)
    return best


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "(" * n,
        lambda n: "(" * (n // 2) + ")" * (n // 2) + "<a@a.test>",
        lambda n: "()" * (n // 2),
        lambda n: '"' * n,
        lambda n: '"' * n + "x",
        lambda n: '"' + '\\"' * (n // 2),
        lambda n: '"' + "\\" * n,
        lambda n: '""' * (n // 2) + "\\",
        lambda n: "," * n,
        lambda n: "a@b," * (n // 4),
        lambda n: "<" * n,
        lambda n: "<a@b>," * (n // 6),
        lambda n: "<" + "@a," * (n // 3),
        lambda n: "a:" * (n // 2),
        lambda n: "[" * n,
        lambda n: "[]" * (n // 2),
        lambda n: "a " * (n // 2) + "@b",
        lambda n: "." * n + "@b",
        lambda n: "@" * n,
        lambda n: " " * n + "\\",
    ],
    ids=lambda make: repr(make(12)),
)
def test_time_grows_no_faster_than_length(make):
    """Four times the text takes far less than the 16 times of quadratic work."""
    assert seconds(make(28_000)) < 12 * seconds(make(7_000)) + 0.001
