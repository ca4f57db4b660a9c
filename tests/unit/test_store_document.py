"""The file of export and import: what is written is read, what is wrong has its line."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.errors import PointsmanError, UsageError
from pointsman.store.book import Book
from pointsman.store.document import document
from pointsman.store.export import written
from pointsman.store.merging import merged
from pointsman.store.records import Agency, Change, Connector, Diversion, Pause, Sender
from pointsman.strict import YamlError

DEFAULT = Agency("default", any_client=True)
AT = "2026-11-21T10:00:00+00:00"
MADE = Change(7, AT, "anna", "mx.test", "agency add", "court", None, {})
EMPTY = Book(1, {"default": DEFAULT}, {}, {}, settings={"tokens": ["gAAAA"]})


class Plain:
    """Secrets that are sealed by a letter."""

    def seal(self, text):
        return f"s{text}"

    def unseal(self, sealed):
        return sealed[1:]


LINE = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=12)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,9}", fullmatch=True)
AGENCIES = st.builds(
    Agency,
    NAMES.filter(lambda name: name != "default"),
    st.lists(LINE.filter(bool), max_size=3, unique=True).map(tuple),
    st.lists(st.sampled_from(["192.0.2.0/24", "2001:db8::/32"]), unique=True).map(tuple),
    st.booleans(),
    st.sampled_from(["50/minute", "unlimited", "30/minute; 10000 recipients/day"]),
    st.sampled_from(["delay", "defer", "reject"]),
    st.integers(1, 1_000_000),
    st.booleans(),
    LINE,
)
CONNECTORS = st.builds(
    Connector,
    NAMES.filter(lambda name: name not in ("postfix", "none")),
    hosts=st.just(("h.test:587", "no.test", "[2001:db8::1]:25")),
    auth=st.just("password"),
    username=st.sampled_from(["yes", "0123", "1e3", "null", "~", "a {b} #c"]),
    password=LINE.map(lambda text: f"s{text}"),
    helo=st.sampled_from(["", "mx.test"]),
    description=LINE,
    state=st.sampled_from(["new", "live", "disabled"]),
)


@st.composite
def books(draw):
    """A book with records of each kind."""
    agencies = {a.name: a for a in draw(st.lists(AGENCIES, max_size=3))}
    connectors = {c.name: c for c in draw(st.lists(CONNECTORS, max_size=3))}
    senders, pauses, diversions = {}, {}, {}
    if agencies and connectors:
        agency, ways = next(iter(agencies)), " ".join(connectors)
        turn = draw(st.sampled_from(["rotate", "failover"])) if len(connectors) > 1 else ""
        for key in draw(
            st.sets(
                st.sampled_from(["@a.test", "@.b.test", "no@c.test", "a b@d.test", 'a@b"@d.test'])
            )
        ):
            senders[key] = Sender(
                key, agency, ways, "7/hour", turn, draw(LINE), draw(st.booleans())
            )
        pauses[f"agency {agency}"] = Pause(f"agency {agency}", draw(LINE), AT, "", draw(LINE))
        name = next(iter(connectors))
        diversions[name] = Diversion(name, "other", "anna", AT, AT, draw(LINE))
    values = draw(st.sampled_from([{}, {"default": "none"}, {"default": "x", "null_sender": ""}]))
    return Book(
        7,
        {"default": DEFAULT, **agencies},
        connectors,
        senders,
        pauses,
        diversions,
        settings={"tokens": ["gAAAA"], **values},
    )


@settings(max_examples=60)
@given(book=books())
def test_export_into_an_empty_database_gives_the_same_book(book):
    """Secrets included, and once more into itself: no difference."""
    texts = {name: {"password": c.password[1:]} for name, c in book.connectors.items()}
    found = document(written(book, MADE).encode())
    assert (found.revision, found.at, found.host) == (7, AT, "mx.test")
    for target in (EMPTY, book):
        after, notes = merged(target, found, texts, Plain(), replacing=False)
        assert replace(after, revision=7) == book
        assert notes == []
    after, _ = merged(book, found, {}, Plain(), replacing=True)
    assert after == book


@settings(max_examples=60)
@given(book=books())
def test_export_is_stable(book):
    """The order in which things were made does not show."""
    shuffled = replace(
        book,
        agencies=dict(reversed(book.agencies.items())),
        senders=dict(reversed(book.senders.items())),
    )
    assert written(book, MADE) == written(shuffled, MADE)


def test_one_change_is_one_line():
    """So that two exports are compared by diff."""
    many = {f"u{n}@a.test": Sender(f"u{n}@a.test", "court", "smtp") for n in range(20)}
    book = replace(EMPTY, senders=many)
    moved = replace(book, senders={**many, "u7@a.test": replace(many["u7@a.test"], agency="tax")})
    one, other = (written(b, None).splitlines() for b in (book, moved))
    assert sum(a != b for a, b in zip(one, other, strict=True)) == 1


def test_no_secret_and_no_token_is_written():
    """Sealed or not: only the secrets' names."""
    smtp = Connector("smtp", hosts=("h.test",), password="gAAAA-sealed", private_key="gAAAA-key")
    text = written(replace(EMPTY, connectors={"smtp": smtp}), MADE)
    assert "gAAAA" not in text
    assert "secrets: [password, private_key]" in text


def test_certificate_is_written_line_by_line():
    """As people know it."""
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    book = replace(EMPTY, connectors={"smtp": Connector("smtp", hosts=("h.test",), ca=pem)})
    assert "    ca: |\n      -----BEGIN CERTIFICATE-----\n      MIIB\n" in written(book, None)


HEAD = "pointsman: 1\n"
SMTP = HEAD + "connectors:\n  smtp:\n    hosts: [h.test]\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "nonsense: 1\n", "line 2: unknown key 'nonsense'; known are pointsman"),
        (HEAD + "agency:\n  a: {}\n", "line 2: unknown key 'agency'; did you mean 'agencies'?"),
        (SMTP + "    hsots: [x]\n", "line 5: unknown key 'hsots'; did you mean 'hosts'?"),
        (SMTP + "    source-address: ''\n", "line 5: unknown key 'source-address'; did you mean"),
        (SMTP + "    tls: ssl\n", "line 5: 'ssl': choose from none, may, starttls, tls"),
        (SMTP + "    tls: [tls]\n", "line 5: expected text"),
        (SMTP + "    processes: many\n", "line 5: expected a number from 1 to 1,000,000"),
        (SMTP + "    processes: 0\n", "line 5: expected a number from 1"),
        (SMTP + "    processes: 1.5\n", "line 5: expected a number"),
        (SMTP + "    processes: 0x10\n", "line 5: expected a number"),
        (SMTP + "    rate: 50/eon\n", "line 5: "),
        (SMTP + "    certificate: x\n", "line 5: the file holds no certificate in PEM format"),
        (SMTP + "    state: dead\n", "line 5: 'dead': choose from new, live, disabled"),
        (SMTP + "    password: hunter2\n", "line 5: password does not stand here in the clear"),
        (SMTP + "    secrets: [pass]\n", "line 5: unknown key 'pass'; did you mean 'password'?"),
        (SMTP + "    hosts: [i.test]\n", "key 'hosts' is there twice, line 5"),
        (SMTP + "  smtp: {}\n", "key 'smtp' is there twice, line 5"),
        (HEAD + "connectors: {postfix: {hosts: [h.test]}}", "line 2: 'postfix' is built in"),
        (HEAD + "connectors: {smtp: {hosts: h.test}}", "line 2: expected a list"),
        (HEAD + "connectors: {smtp: {hosts: ['a b']}}", "line 2: 'a b' is not a host"),
        (HEAD + "connectors: [smtp]", "line 2: expected `key: value` lines"),
        (HEAD + "agencies: {A_B: {}}", "line 2: 'A_B' is not a name"),
        (HEAD + "agencies: {a: {any_client: maybe}}", "line 2: expected true or false"),
        (HEAD + "agencies: {a: {networks: [10.0.0.1/8]}}", "line 2: '10.0.0.1/8' is not a network"),
        (HEAD + "agencies: {[a]: {}}", "line 2: expected text"),
        (HEAD + "senders:\n  a@b.test: {agency: a}\n", "line 3: sender a@b.test needs connectors"),
        (HEAD + "senders:\n  nobody: {}\n", "line 3: 'nobody' is not a sender"),
        (
            HEAD + "senders:\n  A@b.test: {agency: a, connectors: a}\n  a@B.test: {}\n",
            "line 4: sender a@b.test is there twice",
        ),
        (HEAD + "pauses: {court: {}}", "line 2: 'court': a pause is of"),
        (HEAD + "pauses: {agency a: {who: x, at: now, until: '', reason: ''}}", "not a moment"),
        (HEAD + "settings: {tokens: [x]}", "line 2: unknown key 'tokens'"),
        (HEAD + "settings: {default: A B}", "line 2: 'A B' is not a name"),
        ("pointsman: 2\n", "line 1: this version reads format 1, not '2'"),
        ("agencies: {}\n", "it does not begin with `pointsman: 1`"),
        ("", "it is empty"),
        ("- a\n", "line 1: expected `key: value` lines"),
        ("just text", "line 1: expected `key: value` lines"),
        (HEAD + "a: !!python/object/apply:os.system ['id']\n", "unknown key 'a'"),
        (SMTP + "    helo: !!python/object/apply:os.system ['id']\n", "line 5: .*tags are not"),
        (SMTP + "    helo: !!binary aGk=\n", "line 5: .*tags are not allowed"),
        (HEAD + "agencies: &a {}\nsenders: *a\n", "aliases are not allowed, line 3"),
        (HEAD + "agencies: {<<: {}}\n", "<< is not allowed, line 2"),
        (HEAD + "\tagencies: {}\n", "line 2"),
        (HEAD + "agencies: {\n", "line"),
        (HEAD + "---\nagencies: {}\n", "another document, line 2"),
        ("[" * 5000, "recursion"),
        ("pointsman: 1\0", "special characters"),
    ],
)
def test_what_is_wrong_is_a_sentence_with_its_line(text, words):
    """Nothing but a sentence; nothing is made of the file."""
    with pytest.raises(PointsmanError, match=words.replace("[", r"\[").replace("/", "/")) as caught:
        document(text.encode())
    assert isinstance(caught.value, (UsageError, YamlError))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("head", [b"\xef\xbb\xbf", "\ufeff".encode("utf-16-le")])
def test_byte_order_mark_is_no_part_of_the_text(head):
    """As Windows' editors write it."""
    rest = HEAD.encode("utf-16-le" if len(head) == 2 else "utf-8")
    assert document(head + rest).records[Agency] == {}


def test_bytes_that_are_no_text_are_refused():
    """One sentence."""
    with pytest.raises(YamlError):
        document(b"pointsman: 1\nagencies: {\xff: {}}\n")


@settings(max_examples=100)
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_a_sentence_or_a_document(raw):
    """Never anything else."""
    try:
        document(b"pointsman: 1\n" + raw)
    except (UsageError, YamlError):
        return


def test_words_that_yaml_takes_for_something_else_are_text():
    """`no` is a login here, `0123` a user name."""
    found = document((HEAD + "agencies: {on: {logins: [no, 0123, 1e3, 12:30, ~]}}").encode())
    assert found.records[Agency]["on"].logins == ("no", "0123", "1e3", "12:30", "~")


def test_secret_that_could_not_be_given_is_refused():
    """Whoever knows the passphrase writes no second line into Postfix's tables."""
    found = document(
        (SMTP + "    auth: password\n    username: x\n    secrets: [password]").encode()
    )
    with pytest.raises(UsageError, match="a password can't be empty or hold NUL or a line break"):
        merged(EMPTY, found, {"smtp": {"password": "a\n/^/ b:c"}}, Plain(), replacing=False)
