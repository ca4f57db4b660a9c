"""A Postfix with years of maps behind it: imported, each sender goes as it went before."""

import re
import shutil
from pathlib import Path

import pytest

from lab.city import new_folder
from lab.instance import Instance
from pointsman.importing.links import links_of
from pointsman.importing.postfix import read_postfix
from pointsman.postfix.conf import Instance as Conf
from pointsman.postfix.conf import PostfixError
from tests.postfix.old_town import LOGINS, add_map, enable_all, move_in, old_town, ways

SENDERS = (
    "clerk@court.test",
    "other+ext@court.test",
    "anybody@court.test",
    "boss@court.test",
    "boss+vip@court.test",
    "a@police.test",
    "b@fire.test",
    "press@fire.test",
    "kid@school.test",
    "x@tax.test",
    "same@tax.test",
    "post@tax.test",
    "any@elsewhere.test",
)

# What no link is for: envelope sender, From, recipient.
BESIDE = {
    "null sender": ("<>", "x@elsewhere.test", "someone@example.net"),
    "transport map": ("b@fire.test", "b@fire.test", "x@fax.test"),
    "relay domain": ("x@elsewhere.test", "x@elsewhere.test", "x@partner.test"),
    "relay domain, linked sender": ("b@fire.test", "b@fire.test", "x@partner.test"),
    "relay domain with a way": ("b@fire.test", "b@fire.test", "x@branch.test"),
}


def beside(city, round_):
    """Who takes each of these, as whom."""
    found = {}
    for name, (envelope, from_, recipient) in BESIDE.items():
        subject = f"{name} {round_}"
        assert city.send(envelope, from_, subject, recipient).code == 250
        (message,) = city.arrived(subject)
        found[name] = message.server, message.login
    return found


def relays(city, shared, plain):
    """Relay hosts of senders, in a table of each kind."""
    tables = {
        "hash": {
            "@court.test": shared,
            "boss@court.test": plain,
            "boss+vip@court.test": "DUNNO",
        },
        "lmdb": {"@police.test": shared, "@court.test": "[first.wins.invalid]"},
        "texthash": {"@fire.test": plain, "# a note": "", "<>": plain},
        "pcre": {
            r"/^press@fire\.test$/": shared,
            r"/@school\.test$/": plain,
            r"/odd[0-9]@x/": plain,
        },
    }
    return ", ".join(add_map(city, kind, f"relay_{kind}", rows) for kind, rows in tables.items())


def settle_in(city):
    """Servers with TLS and AUTH, and all the maps that lead to them."""
    shared = f"[localhost]:{city.hops['shared'].port}"
    plain = f"[127.0.0.1]:{city.hops['plain'].port}"
    tax = f"[localhost]:{city.hops['tax'].port}"
    passwords = {
        "clerk@court.test": f"court:{LOGINS['court']}",
        "other@court.test": f"court:{LOGINS['court']}",
        "@police.test": f"police:{LOGINS['police']}",
        "localhost": f"police:{LOGINS['police']}",  # asked before the next hop as spelled
        shared: f"court:{LOGINS['court']}",
    }
    tax_file = add_map(city, "texthash", "tax_passwd", {tax: f"tax:{LOGINS['tax']}"})
    city.postfix.postfix(
        "postconf",
        "-M",
        "taxes/unix=taxes unix - - n - 3 smtp -o smtp_tls_wrappermode=yes "
        "-o smtp_tls_security_level=secure -o smtp_sender_dependent_authentication=no "
        f"-o smtp_sasl_password_maps={tax_file} -o smtp_helo_name=taxes.test",
    )
    transports = {"@tax.test": f"taxes:{tax}", "same@tax.test": f"taxes:{tax}"}
    transports["post@tax.test"] = "DUNNO"
    by_recipient = {"fax.test": f"smtp:{plain}", "branch.test": f"relay:{plain}"}
    city.postfix.set(
        sender_dependent_relayhost_maps=relays(city, shared, plain),
        sender_dependent_default_transport_maps=add_map(city, "lmdb", "transports", transports),
        transport_maps=add_map(city, "hash", "transport", by_recipient),
        relay_domains="partner.test, branch.test",
        smtp_sasl_auth_enable="yes",
        smtp_sender_dependent_authentication="yes",
        smtp_sasl_password_maps=add_map(city, "hash", "sasl_passwd", passwords),
        smtp_sasl_security_options="noanonymous",
        smtp_tls_security_level="may",
        smtp_tls_policy_maps=add_map(city, "lmdb", "policy", {shared: "encrypt", plain: "none"}),
        smtp_tls_CAfile=str(city.authority.ca_file),
    )


@pytest.fixture
def lived_in():
    """Such a Postfix before anybody has heard of Pointsman."""
    with old_town() as city:
        settle_in(city)
        yield city


def test_each_sender_goes_as_before(lived_in):
    """Server, login, password, TLS and name in EHLO are the same, with all connectors live."""
    before, by_others = ways(lived_in, SENDERS, "before"), beside(lived_in, "before")
    assert by_others["null sender"] == by_others["transport map"] == ("plain", "")
    assert before["press@fire.test"][:2] == ("shared", "police")
    assert before["boss+vip@court.test"][0] == "default"
    move_in(lived_in)
    shown = lived_in.postfix.cli("import", "postfix")
    assert "repeat it with --yes" in shown
    assert lived_in.postfix.cli("sender", "list").startswith("-- 0 senders")
    done = lived_in.cli("import", "postfix", "--yes")
    assert shown.partition("\nnothing is changed")[0] == done.partition("revision ")[0]
    assert not any(password in shown + done for password in LOGINS.values())
    assert ways(lived_in, SENDERS, "staged") == before
    assert beside(lived_in, "staged") == by_others
    enable_all(lived_in, done)
    mark = lived_in.postfix.log_size()
    assert ways(lived_in, SENDERS, "after") == before
    lanes = re.findall(r"postfix/(pm-[^/]*)/smtp.*status=sent", lived_in.postfix.log(mark))
    assert len(lanes) == len(SENDERS) - 1  # all but the one that no map names
    assert beside(lived_in, "after") == by_others
    again = lived_in.postfix.cli("import", "postfix", "--yes")
    assert "nothing to change" in again
    assert "-- 0 new senders" in again


@pytest.fixture
def instance():
    """An instance that is not started: its tables are read all the same."""
    folder = new_folder()
    postfix = Instance(folder / "postfix")
    postfix.create()
    yield postfix
    shutil.rmtree(folder)


def read(postfix, **parameters):
    """What is read of it, once main.cf says this."""
    given = [f"{name}={value}" for name, value in parameters.items()]
    postfix.postfix("postconf", "-e", *given)
    return read_postfix(Conf(postfix.config_directory), Path("/etc/pointsman"), None)


@pytest.mark.parametrize("kind", ["hash", "btree", "lmdb", "texthash", "proxy:hash", "pcre"])
def test_tables_of_each_kind_are_listed(instance, kind):
    """By Postfix's own tools, in Postfix's own reading."""
    path = instance.config_directory / "relay"
    rules = {"@A.Test": "[one]:587", "u@b.test": "[two],[three]:25"}
    if kind == "pcre":
        rules = {r"/@a\.test$/": "[one]:587", r"/^u@b\.test$/": "[two],[three]:25"}
    path.write_text("# a note\n" + "".join(f"{key}  {value}\n" for key, value in rules.items()))
    if kind not in ("texthash", "pcre"):
        instance.postfix("postmap", f"{kind.removeprefix('proxy:')}:{path}")
    found = links_of(read(instance, sender_dependent_relayhost_maps=f"{kind}:{path}"))
    assert {key: way.hosts for key, way in found.ways.items()} == {
        "@a.test": ("one:587",),
        "u@b.test": ("two:25", "three:25"),
    }


def test_tables_in_main_cf_itself(instance):
    """`inline` is listed, `static` answers everything, and neither is shown."""
    found = read(
        instance,
        sender_dependent_relayhost_maps="inline:{ {@a.test = [one]}, @b.test=[two] }",
        smtp_sasl_auth_enable="yes",
        smtp_sasl_password_maps="static:user:geheim",
        smtp_tls_security_level="none",
    )
    ways = links_of(found).ways
    assert {key: (way.hosts, way.username) for key, way in ways.items()} == {
        "@a.test": (("one:25",), "user"),
        "@b.test": (("two:25",), "user"),
    }
    assert ways["@a.test"].password == "geheim"
    assert "geheim" not in repr(found)


def test_tables_that_cant_be_listed_are_asked(instance):
    """A union and odd patterns overrule a list, and remarks say that they may hold more."""
    folder = instance.config_directory
    (folder / "odd").write_text("/^u[0-9]*@a\\.test$/ [odd]\n")
    maps = (
        f"unionmap:{{inline:{{u9@a.test=[union]}}}}, pcre:{folder}/odd, inline:{{u@a.test=[one]}}"
    )
    read_ = read(instance, sender_dependent_relayhost_maps=maps)
    assert {k: w.hosts for k, w in links_of(read_).ways.items()} == {"u@a.test": ("odd:25",)}
    said = [remark.where for remark in read_.remarks if remark.keeps]
    assert [where.split()[1].partition(":")[0] for where in said] == ["unionmap", "pcre"]


@pytest.mark.parametrize("table", ["hash:/no/such/file", "pcre:/no/such/file", "odd:x"])
def test_a_table_that_cant_be_asked_ends_it(instance, table):
    """It might overrule the others: nothing is concluded without it."""
    maps = f"inline:{{@a.test=[one]}}, {table}"
    with pytest.raises(PostfixError, match=f"the table {table} can't be asked"):
        links_of(read(instance, sender_dependent_relayhost_maps=maps))


def test_a_slow_transport_is_known_for_it(instance):
    """Its process limit becomes the connector's; its delay is named."""
    entry = "slow/unix=slow unix - - n - 1 smtp -o smtp_tls_security_level=none"
    instance.postfix("postconf", "-M", entry)
    found = links_of(
        read(
            instance,
            sender_dependent_default_transport_maps="inline:{@a.test=slow:[one]}",
            slow_destination_rate_delay="2s",
            default_destination_concurrency_limit="7",
        )
    )
    way = found.ways["@a.test"]
    assert (way.processes, way.security.tls) == (1, "none")
    assert [note.split(" does")[0] for note in way.notes] == [
        "slow: destination_rate_delay = 2s",
        "slow: destination_concurrency_limit = 7",
    ]


def test_what_goes_by_recipient_stays(instance):
    """transport_maps and relay_domains are named."""
    read_ = read(
        instance,
        transport_maps="inline:{fax.test=smtp:[fax]}, inline:{*=smtp:[all]}",
        relay_domains="partner.test",
        sender_dependent_relayhost_maps="inline:{@a.test=[one]}",
    )
    said = {remark.where: remark.text for remark in read_.remarks}
    assert "fax.test" in said["transport_maps inline:{fax.test=smtp:[fax]}"]
    assert "matches all mail" in said["transport_maps inline:{*=smtp:[all]}"]
    assert "relay_domains partner.test" in said
    assert "keep the map" in said["sender_dependent_relayhost_maps"]
