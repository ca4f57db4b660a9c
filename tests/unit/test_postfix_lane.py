"""A lane states everything that decides where, as whom and how safely it sends."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pointsman.errors import UsageError
from pointsman.postfix.lane import (
    SYSTEM_CA_FILE,
    Tables,
    credentials,
    lane_entry,
    nexthop,
    parameters,
)
from pointsman.store.checks import checked_password, checked_username
from pointsman.store.fields import settings
from pointsman.store.modes import TLS_MODES
from pointsman.store.records import Connector

NOT_OURS = "static:not_a_host_of_this_connector"  # no level: deferred, and nothing is sent
TABLES = Tables(Path("/etc/postfix/pointsman"))
STATED = {name: field.states for name, (field, _) in settings(Connector).items() if field.states}
NONE = Connector("a", hosts=("smtp.a.test:2525",), tls="starttls")
LOGIN = replace(NONE, auth="password", username="court", password="sealed")
IDENTITY = replace(NONE, auth="certificate", certificate="PEM", private_key="sealed")
MODES = list(itertools.product(TLS_MODES, (NONE, LOGIN)))

# What main.cf could say and a lane must not inherit (postfix.md C4, M3).
CLOSED_LIST = [
    "syslog_name",
    "smtp_fallback_relay",
    "smtp_host_lookup",
    "smtp_dns_support_level",
    "smtp_bind_address",
    "smtp_bind_address6",
    "smtp_helo_name",
    "smtp_cname_overrides_servername",
    "smtp_dns_reply_filter",
    "smtp_always_send_ehlo",
    "smtp_never_send_ehlo",
    "smtp_discard_ehlo_keywords",
    "smtp_discard_ehlo_keyword_address_maps",
    "smtp_send_xforward_command",
    "smtp_tls_security_level",
    "smtp_tls_wrappermode",
    "smtp_use_tls",
    "smtp_enforce_tls",
    "smtp_tls_enforce_peername",
    "smtp_tls_policy_maps",
    "smtp_tls_per_site",
    "smtp_tls_CAfile",
    "smtp_tls_CApath",
    "smtp_tls_trust_anchor_file",
    "smtp_tls_secure_cert_match",
    "smtp_tls_verify_cert_match",
    "smtp_tls_fingerprint_cert_match",
    "smtp_tls_fingerprint_digest",
    "smtp_tls_servername",
    "smtp_tls_chain_files",
    "smtp_tls_cert_file",
    "smtp_tls_key_file",
    "smtp_tls_dcert_file",
    "smtp_tls_dkey_file",
    "smtp_tls_eccert_file",
    "smtp_tls_eckey_file",
    "smtp_tls_protocols",
    "smtp_tls_mandatory_protocols",
    "smtp_tls_ciphers",
    "smtp_tls_mandatory_ciphers",
    "smtp_tls_exclude_ciphers",
    "smtp_tls_mandatory_exclude_ciphers",
    "smtp_tls_session_cache_database",
    "smtp_sasl_auth_enable",
    "smtp_sasl_password_maps",
    "smtp_sasl_mechanism_filter",
    "smtp_sasl_security_options",
    "smtp_sasl_tls_security_options",
    "smtp_sasl_tls_verified_security_options",
    "smtp_sasl_type",
    "smtp_sasl_path",
    "smtp_sasl_auth_cache_name",
    "smtp_sasl_auth_soft_bounce",
    "smtp_sender_dependent_authentication",
    "smtp_send_dummy_mail_auth",
    "smtp_generic_maps",
    "smtp_header_checks",
    "smtp_mime_header_checks",
    "smtp_nested_header_checks",
    "smtp_body_checks",
    "smtp_reply_filter",
    "smtp_delivery_status_filter",
]


def stated(tls, connector):
    """The parameters of a connector in one TLS mode."""
    return parameters(replace(connector, tls=tls), TABLES)


@pytest.mark.parametrize(("tls", "connector"), MODES)
def test_every_parameter_of_the_closed_list_is_stated(tls, connector):
    """In every TLS mode, with a login or without, nothing is left to main.cf."""
    assert set(CLOSED_LIST) - set(stated(tls, connector)) == set()


@pytest.mark.parametrize(("tls", "connector"), MODES)
def test_no_value_refers_to_what_main_cf_says(tls, connector):
    """Only the host's own name is taken from there."""
    values = stated(tls, connector)
    assert {name for name, value in values.items() if "$" in value} == {"smtp_helo_name"}
    assert values["smtp_helo_name"] == "$myhostname"


@pytest.mark.parametrize(
    ("tls", "level", "wrapper"),
    [
        ("none", "none", "no"),
        ("may", "may", "no"),
        ("starttls", "secure", "no"),
        ("tls", "secure", "yes"),
    ],
)
def test_tls_mode_is_what_the_admin_said(tls, level, wrapper):
    """Where TLS is due, the certificate is verified against the name that was given."""
    values = stated(tls, LOGIN)
    assert level == values["smtp_tls_security_level"]
    assert wrapper == values["smtp_tls_wrappermode"]
    assert values["smtp_tls_secure_cert_match"] == "nexthop"


def test_lane_serves_its_own_hosts_alone():
    """No row, marker or admin's map leads another server to this lane's login."""
    two = replace(LOGIN, hosts=("smtp.a.test", "[2001:db8::1]:26"))
    own = "inline:{[smtp.a.test]:587=secure,[2001:db8::1]:26=secure}"
    assert parameters(two, TABLES)["smtp_tls_policy_maps"] == f"{own},{NOT_OURS}"
    pinned = replace(LOGIN, fingerprints=("AA:BB",))
    own = "inline:{[smtp.a.test]:2525=fingerprint}"
    assert parameters(pinned, TABLES)["smtp_tls_policy_maps"] == f"{own},{NOT_OURS}"


@pytest.mark.parametrize("tls", TLS_MODES)
def test_lane_logs_in_only_with_its_own_login(tls):
    """A lane with auth `none` says `no`, or main.cf's login would be sent."""
    without, with_login = stated(tls, NONE), stated(tls, LOGIN)
    assert without["smtp_sasl_auth_enable"] == "no"
    assert without["smtp_sasl_password_maps"] == ""
    assert without["smtp_reply_filter"] == TABLES.replies(login=False)
    assert with_login["smtp_sasl_auth_enable"] == "yes"
    assert with_login["smtp_sasl_password_maps"] == f"regexp:{TABLES.login(LOGIN)}"
    assert with_login["smtp_reply_filter"] == TABLES.replies(login=True)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_lane_shows_its_own_certificate_and_no_other(tls):
    """One with a login, or with none, shows no certificate, whatever main.cf has."""
    shown = stated(tls, IDENTITY)
    assert shown["smtp_tls_chain_files"] == str(TABLES.identity(IDENTITY))
    assert shown["smtp_sasl_auth_enable"] == "no"
    assert shown["smtp_reply_filter"] == TABLES.replies(login=False)
    for other in (NONE, LOGIN):
        assert stated(tls, other)["smtp_tls_chain_files"] == ""


@pytest.mark.parametrize(("tls", "plain"), [("may", False), ("starttls", True), ("tls", True)])
def test_password_does_not_follow_where_tls_may_be_stripped(tls, plain):
    """With `may` no mechanism is used that shows the password."""
    options = stated(tls, LOGIN)["smtp_sasl_security_options"]
    assert plain is ("noplaintext" not in options)
    assert "noanonymous" in options


@pytest.mark.parametrize(
    ("ca", "file"),
    [("", str(SYSTEM_CA_FILE)), ("PEM", str(TABLES.ca(replace(LOGIN, ca="PEM"))))],
)
def test_authority_is_the_connectors_or_the_systems(ca, file):
    """Never what main.cf trusts."""
    assert file == parameters(replace(LOGIN, ca=ca), TABLES)["smtp_tls_CAfile"]


def test_a_connectors_authority_is_the_only_one():
    """`tls_append_default_CA = yes` in main.cf would let the system's certify it too."""
    assert parameters(replace(LOGIN, ca="PEM"), TABLES)["tls_append_default_CA"] == "no"


@pytest.mark.parametrize(
    ("host", "tls", "expected"),
    [
        ("smtp.a.test", "starttls", "[smtp.a.test]:587"),
        ("smtp.a.test", "tls", "[smtp.a.test]:465"),
        ("smtp.a.test", "may", "[smtp.a.test]:25"),
        ("smtp.a.test", "none", "[smtp.a.test]:25"),
        ("smtp.a.test:2525", "tls", "[smtp.a.test]:2525"),
        ("192.0.2.1", "may", "[192.0.2.1]:25"),
        ("[192.0.2.1]:26", "may", "[192.0.2.1]:26"),
        ("2001:db8::1", "may", "[2001:db8::1]:25"),
        ("[2001:db8::1]:26", "may", "[2001:db8::1]:26"),
    ],
)
def test_next_hop_is_the_host_itself(host, tls, expected):
    """In brackets, so that no MX lookup leads elsewhere, and always with the port."""
    assert expected == nexthop(Connector("a", hosts=(host,), tls=tls), TABLES)


def test_next_hops_are_in_the_order_of_the_hosts():
    """Postfix goes to the next where one does not answer (smtp(8), since 3.5)."""
    connector = Connector("a", hosts=("one.test", "192.0.2.1:26"), tls="may")
    assert nexthop(connector, TABLES) == "[one.test]:25,[192.0.2.1]:26"


@pytest.mark.parametrize(
    ("address", "stated"),
    [
        ("", ("", "", "no", None)),
        ("192.0.2.9", ("192.0.2.9", "", "yes", "ipv4")),
        ("2001:db8::9", ("", "2001:db8::9", "yes", "ipv6")),
    ],
)
def test_source_address_is_the_only_one(address, stated):
    """Of the other family nothing may leave: it would come from another address."""
    found = parameters(replace(NONE, source_address=address), TABLES)
    names = ("smtp_bind_address", "smtp_bind_address6", "smtp_bind_address_enforce")
    assert (*(found[name] for name in names), found.get("inet_protocols")) == stated


def test_fingerprint_counts_instead_of_name_and_issuer():
    """Several are for the days around a change of the server's certificate."""
    found = parameters(replace(NONE, fingerprints=("AA:BB", "CC:DD")), TABLES)
    assert found["smtp_tls_security_level"] == "fingerprint"
    assert found["smtp_tls_fingerprint_cert_match"] == "AA:BB CC:DD"


@pytest.mark.parametrize(("field", "parameter"), sorted(STATED.items()))
def test_field_is_stated_as_it_is(field, parameter):
    """By the parameter that its declaration names; without a value, by the lane's own."""
    found = parameters(replace(NONE, **{field: "mail.court.test"}), TABLES)
    assert found[parameter] == "mail.court.test"
    assert parameters(NONE, TABLES)[parameter] not in ("", "mail.court.test")


def test_server_name_is_asked_for_and_insisted_on():
    """By SNI, and in the certificate."""
    found = parameters(replace(NONE, server_name="smtp.a.test"), TABLES)
    assert found["smtp_tls_secure_cert_match"] == found["smtp_tls_servername"] == "smtp.a.test"


def test_entry_in_master_cf():
    """One smtp(8) service named as the lane, logging under its name, never chrooted."""
    entry = lane_entry(LOGIN, TABLES)
    assert entry.startswith("pm-a unix - - n - 5 smtp -o syslog_name=postfix/pm-a -o ")
    assert entry.count(" -o ") == len(parameters(LOGIN, TABLES))
    assert "sealed" not in entry
    assert "court" not in entry


def test_paths_of_the_tables():
    """All of them lie in our folder."""
    assert TABLES.sender_transport == TABLES.folder / "sender_transport"
    assert TABLES.pcre("decode") == "pcre:/etc/postfix/pointsman/decode.pcre"
    assert TABLES.login(LOGIN).parent == TABLES.folder / "login"
    assert re.fullmatch(r"a\.[0-9a-f]{12}", TABLES.login(LOGIN).name)
    assert TABLES.ca(LOGIN).parent == TABLES.folder / "ca"
    assert TABLES.identity(IDENTITY).parent == TABLES.folder / "identity"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("login", "username"),
        ("login", "password"),
        ("ca", "ca"),
        ("identity", "private_key"),
        ("identity", "certificate"),
    ],
)
def test_other_content_has_another_name(path, field):
    """So that a lane's files and its entry change in one moment, and not one by one."""
    name = getattr(TABLES, path)
    assert name(replace(LOGIN, **{field: "x"})) != name(replace(LOGIN, **{field: "y"}))


def looked_up(table):
    """What smtp(8) gets from a regexp table, whatever it asks (regexp_table(5), readlline(3))."""
    line, end = table.split("\n")
    assert end == ""
    line = line.rstrip(" \t\r\n\v\f")
    pattern, text = re.fullmatch(r"/(.*?)/[ \t]*(.*)", line, re.DOTALL).groups()
    assert pattern == "^()"
    out, rest = "", text
    while rest:
        plain, dollar, rest = rest.partition("$")
        out += plain
        if dollar:
            if rest.startswith("$"):
                out, rest = out + "$", rest[1:]
            else:
                number = re.match(r"1(?![0-9A-Za-z_])|\{1\}", rest)
                assert number, "bad replacement syntax: skipping this rule"
                rest = rest[number.end() :]
    return out


AWKWARD = [
    "p$1a$$b${x}",
    "$",
    "$$",
    "$1",
    "trailing blank ",
    " leading",
    "#",
    "a:b",
    "\\",
    '"',
    "'",
]


@pytest.mark.parametrize(
    "password", [*AWKWARD, "/", "{}", "%s", "a,b", "p\u00e4ss", "\t", "x" * 1024]
)
def test_awkward_password_is_kept_exactly(password):
    """Each has broken some other format of Postfix's."""
    assert looked_up(credentials("court", password)) == f"court:{password}"


PASSWORDS = st.text(st.sampled_from("$1{} \\/#:\"'\t") | st.characters(exclude_categories=["Cs"]))


def accepts(check, text):
    """Whether the CLI would take this."""
    try:
        check(text)
    except UsageError:
        return False
    return True


@given(PASSWORDS, PASSWORDS)
@example(" court", "x")
@example("court ", " x ")
def test_every_login_that_the_cli_takes_reaches_the_server_exactly(username, password):
    """What could not be kept must have been refused before."""
    if accepts(checked_username, username) and accepts(checked_password, password):
        assert looked_up(credentials(username, password)) == f"{username}:{password}"
