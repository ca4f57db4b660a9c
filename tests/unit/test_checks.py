"""What `check` makes of facts: each kind is found by an example, and near misses are not."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pointsman.checks.facts import Facts, Host, Row, Service, items
from pointsman.checks.finding import NOTE
from pointsman.checks.overruling import CARRIER
from pointsman.checks.table import CERTIFICATES, KINDS, judge
from pointsman.config import PostfixConfig
from pointsman.postfix.services import Smtpd
from pointsman.postfix.wiring import Choice
from pointsman.routing.snapshot import Snapshot
from pointsman.store.records import Agency
from tests.unit import wrong_facts as wrong
from tests.unit.wrong_facts import MARKER, MILTER, NOW, WRONG, facts, smtpd

# Found by dates: test_checks_ends.py has their examples.
ENDING = {"ca-ended", "token", "token-ended", *(kind.name for kind in CERTIFICATES)}


def kinds(found):
    return {finding.kind for finding in judge(found)}


@pytest.mark.parametrize("healthy", [Facts(), facts()])
def test_nothing_wrong_is_no_finding(healthy):
    """Neither without any facts, nor on a stock Debian that is wired."""
    assert list(judge(healthy)) == []


def test_every_kind_has_an_example():
    """Else a check could never find anything, and nobody would see it."""
    assert {*WRONG, *ENDING} == set(KINDS)


@pytest.mark.parametrize("kind", WRONG)
def test_example_is_found_and_nothing_else(kind):
    """With a sentence, and something to do about it."""
    assert kinds(WRONG[kind]) - {"sender-rewritten"} == {kind} - {"sender-rewritten"}
    assert kind in kinds(WRONG[kind])
    for finding in judge(WRONG[kind]):
        assert finding.severity == KINDS[finding.kind].severity
        assert finding.name
        assert finding.text
        assert len(finding.fix) > 10
        assert finding.fix.count("`") % 2 == 0


@pytest.mark.parametrize("kind", KINDS)
def test_kind_is_explained(kind):
    """For docs/check.md: a sentence, and what to do in general."""
    assert KINDS[kind].reason.endswith(".")
    assert KINDS[kind].cure


BEHIND = smtpd("127.0.0.1:10025", content_filter="")
NEAR_MISSES = {
    "this host's own row, which is old": replace(
        facts(), hosts=(wrong.Neighbour(wrong.CONFIG.host, "1", 0, 0.0, 0.0),)
    ),
    "another host that is well": replace(
        facts(), hosts=(wrong.Neighbour("mx9", "1", 0, 0.0, wrong.NOW.timestamp() - 30),)
    ),
    "another spelling of the same list": wrong.wired(
        smtpd_milters=(f"inet:h:1 {MILTER}", f"inet:h:1, {MILTER}")
    ),
    "Postfix 3.9's word": wrong.wired(smtpd_forbid_bare_newline=("normalize", "yes")),
    "a service behind a content filter": facts(wrong.FILTERED, BEHIND),
    "relative path outside of the chroot": facts(
        smtpd(chrooted=False, smtpd_milters="unix:pointsman/milter.sock"),
        milter_default_action="tempfail",
    ),
    "policy in the service's own list": facts(
        smtpd(smtpd_recipient_restrictions=f"{wrong.POLICY}, permit"),
        smtpd_recipient_restrictions=wrong.POLICY,
    ),
    "macros that Postfix does not know": facts(milter_mail_macros=""),
    "macros with commas": facts(milter_mail_macros="i, {auth_authen}, {pointsman_role}"),
    "marker first": facts(
        replace(wrong.SERVICES[2], options={"milter_header_checks": f"{MARKER}, pcre:/own"})
    ),
    "header checks that only warn": wrong.having(header_checks=(("/^X-/", "WARN"),)),
    "FILTER to the content filter": replace(
        wrong.having(header_checks=(("/^X-/", "FILTER scan:[127.0.0.1]:10024"),)),
        postfix=replace(
            wrong.having(header_checks=(("/^X-/", "FILTER scan:[127.0.0.1]:10024"),)).postfix,
            services={s.name: s for s in (*wrong.SERVICES, wrong.FILTERED, BEHIND)},
        ),
    ),
    "transport of a hosted domain": wrong.having(
        relay_domains=(("town.test", "x"),),
        transport_maps=(("town.test", "smtp:[h.test]"), (".town.test", "smtp:[h.test]")),
    ),
    "transport that blocks": wrong.having(transport_maps=(("spam.test", "error:no"),)),
    "linked address in another table": wrong.having(
        **{wrong.SENDERS: (("boss@other.test", "smtp:[h.test]"), ("root", "smtp:"))}
    ),
    "table for everybody, and no default relay of ours": wrong.answering(
        wrong.SENDERS, "pcre:/etc/own", "smtp:"
    ),
    "SRS of header fields": wrong.answering(
        "sender_canonical_maps", "tcp:h:1", "x@y.test", sender_canonical_classes="header_sender"
    ),
    "copies, and a connector for null senders": facts(
        book=wrong.book(null_sender="court"), always_bcc="archive@here.test"
    ),
    "copies, and no lane": facts(applied=wrong.Applied(Snapshot(), 0), always_bcc="x@here.test"),
    "another transport deferred": facts(defer_transports="uucp"),
    "table of theirs": wrong.owned(Path("/etc/postfix/transport"), "admin", "admin", 0o666),
    "disk of a small machine": wrong.host(disks={Path("/q"): wrong.Disk(10**9, 10**10, 10**4, 0)}),
    "server at the same port elsewhere": facts(smtpd("587"), book=wrong.book(wrong.COURT)),
    "own address, another port": replace(
        facts(smtpd("588"), book=wrong.book(wrong.COURT)), host=Host(own={"h.test": ("192.0.2.1",)})
    ),
    "own address, a service at another": replace(
        facts(smtpd("192.0.2.2:587"), book=wrong.book(wrong.COURT)),
        host=Host(own={"h.test": ("192.0.2.1",)}),
    ),
    "no SASL, and no password": replace(facts(), host=Host(mechanisms=frozenset())),
    "connector that is new today": replace(
        facts(book=wrong.book(wrong.NEW, wrong.LINK)), touched={"court": NOW - timedelta(hours=2)}
    ),
    "new connector without links": replace(
        facts(book=wrong.book(wrong.NEW)), touched={"court": NOW - timedelta(days=9)}
    ),
    "the built-in agency": facts(book=wrong.book(Agency("default", any_client=True))),
    "agency with a login": facts(book=wrong.book(Agency("court", logins=("app",)))),
}


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_near_miss_is_no_finding(name):
    """What looks like trouble, and is none."""
    assert kinds(NEAR_MISSES[name]) == set()


def test_srs_that_leaves_carriers_alone():
    """Then it is a note: all is carried."""
    classes = {"sender_canonical_classes": "envelope_sender"}
    assert kinds(wrong.answering("sender_canonical_maps", "tcp:h:1", CARRIER, **classes)) == {
        "sender-rewritten"
    }


def test_notes_are_what_may_be_meant():
    """They alone leave the exit status at 0."""
    notes = {name for name, kind in KINDS.items() if kind.severity == NOTE}
    assert notes == {
        *("any-client", "default-none", "left-out", "loopback", "observing", "sender-rewritten"),
        "transport-map",
    }


def fix_of(found):
    return next(iter(judge(found))).fix


def test_looking_on_must_cost_no_mail():
    """While we observe, `default_action=accept` is what setup writes."""
    observing = wrong.choosing(Choice(observe=True)).wiring
    assert kinds(replace(WRONG["milter-action"], wiring=observing)) == {"observing"}


def test_commands_name_the_instance_and_the_file():
    """Where they are not the usual ones: a fix is to be copied as it stands."""
    usual = WRONG["soft-bounce"]
    assert fix_of(usual) == "`postconf -e soft_bounce=no && postfix reload`"
    there = replace(usual, postfix=replace(usual.postfix, directory=Path("/etc/postfix-out")))
    assert fix_of(there) == (
        "`postconf -c /etc/postfix-out -e soft_bounce=no && postfix -c /etc/postfix-out reload`"
    )
    own = replace(wrong.CONFIG, path=Path("/srv/pm.yaml"), postfix=PostfixConfig(Path("/p")))
    assert fix_of(replace(WRONG["pickup"], config=own)) == "`pointsman --config /srv/pm.yaml setup`"


def test_daemon_of_systemd_is_started_by_it():
    """Not in the foreground, where there is a unit."""
    found = wrong.daemons(milter=False)
    assert "`pointsman run milter`" in fix_of(found)
    found = replace(found, host=Host(units=frozenset({"milter"})))
    assert fix_of(found).startswith("`systemctl restart pointsman-milter`")


def test_service_keeps_its_other_options_when_no_milters_goes():
    """Only the word that does harm is taken out; then setup takes the service in."""
    options = {"receive_override_options": "no_address_mappings, no_milters"}
    fix = fix_of(wrong.leaving_out(Smtpd("submission/inet", options, "")))
    command = "postconf -P submission/inet/receive_override_options=no_address_mappings"
    assert fix == f"`{command} && postfix reload && pointsman setup`"
    fix = fix_of(WRONG["no-milter"])
    command = "postconf -PX submission/inet/smtpd_milters"
    assert fix == f"`{command} && postfix reload && pointsman setup`"


def test_service_keeps_its_own_milters_when_ours_is_added():
    """A signer that main.cf does not know must not be lost by the fix."""
    own = f"inet:localhost:8891, {wrong.CHROOTED}"
    fix = fix_of(facts(smtpd(chrooted=False, smtpd_milters=own)))
    words = "'submission/inet/smtpd_milters=inet:localhost:8891,$pointsman_milter'"
    assert fix == f"`postconf -P {words} && postfix reload`"


def test_service_is_asked_by_its_own_parameter():
    """`-o pointsman_milter=` takes ours out of the list that main.cf has."""
    found = facts(smtpd(pointsman_milter=""))
    postfix = replace(found.postfix, milters={"smtpd_milters": "inet:h:1, $pointsman_milter"})
    service = postfix.services["submission/inet"]
    assert items(postfix.value("smtpd_milters", service)) == ["inet:h:1"]
    assert items(postfix.value("smtpd_milters")) == [MILTER]


@pytest.mark.parametrize("chrooted", [True, False])
def test_milter_out_of_the_queue_directory_is_seen(chrooted):
    """A chrooted daemon can never reach it; one that is not can."""
    config = replace(
        wrong.CONFIG, milter=replace(wrong.CONFIG.milter, socket="unix:/run/pm/m.sock")
    )
    found = replace(facts(smtpd(chrooted=chrooted)), config=config)
    lines = {"smtpd_milters": "unix:/run/pm/m.sock", "non_smtpd_milters": ""}
    parameters = {**found.postfix.parameters, **lines, "milter_default_action": "tempfail"}
    service = smtpd(chrooted=chrooted)
    postfix = replace(found.postfix, parameters=parameters, services={service.name: service})
    found = replace(found, postfix=postfix)
    assert kinds(found) == ({"milter-unreachable"} if chrooted else set())
    if chrooted:
        assert "unix:/var/spool/postfix/pointsman/milter.sock" in fix_of(found)


def test_many_lines_of_one_transport_map_are_one_finding():
    """An admin with 500 of them reads the first."""
    rows = tuple((f"t{n}.test", "smtp:[h.test]") for n in range(500))
    (finding,) = judge(wrong.having(transport_maps=rows))
    assert "t0.test, t1.test, t2.test, t3.test, t4.test and 495 more" in finding.text


def test_made_table_is_made_again():
    """postmap(1) is part of the fix, where the table has a source."""
    found = WRONG["transport-all"]
    (name,) = found.postfix.tables
    row = Row("/etc/t: *", "*", "smtp:[h.test]", "lmdb:/etc/t")
    found = replace(found, postfix=replace(found.postfix, tables={name: (row,)}))
    assert "take * out of /etc/t, then `postmap lmdb:/etc/t && postfix reload" in fix_of(found)


def test_connector_by_a_proxys_port_leads_back():
    """proxy_interfaces: the address is another machine's, and what comes there comes here."""
    found = replace(
        facts(smtpd("587"), book=wrong.book(wrong.COURT), inet_interfaces="192.0.2.9"),
        host=Host(own={"h.test": ("198.51.100.1",)}),
    )
    assert kinds(found) == set()
    parameters = {**found.postfix.parameters, "proxy_interfaces": "198.51.100.1"}
    found = replace(found, postfix=replace(found.postfix, parameters=parameters))
    assert kinds(found) == {"loop"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("a, b  c", ["a", "b", "c"]),
        ("{ unix:/x, a=b }, inet:h:1", ["{ unix:/x, a=b }", "inet:h:1"]),
        ("inline:{a=b, {c = d}} x", ["inline:{a=b, {c = d}}", "x"]),
        ("pcre:{{/^(.+)$/ $1}}, tcp:h:1", ["pcre:{{/^(.+)$/ $1}}", "tcp:h:1"]),
    ],
)
def test_items_of_a_list(value, expected):
    """Braces keep an item together, as in postconf(5)."""
    assert items(value) == expected


def test_service_knows_whether_only_this_host_reaches_it():
    """By the address in its name."""
    names = ("127.0.0.1:10025", "localhost:10025", "[::1]:10025", "10025", "192.0.2.1:25")
    loopback = [Service(n, (n, *wrong.SMTPD[1:])).loopback for n in names]
    assert loopback == [True, True, True, False, False]
