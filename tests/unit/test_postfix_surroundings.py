"""What this Postfix does besides us, as far as it is read without running it."""

from pathlib import Path

import pytest

from pointsman.postfix import surroundings
from pointsman.postfix.conf import Instance, PostfixError
from pointsman.postfix.surroundings import _Found, _Maps

OURS = Path("/etc/postfix/pointsman")


@pytest.fixture
def maps(monkeypatch):
    """Maps whose tables are what the test says; any other can't be listed."""
    tables = {}

    def run(_self, program, *arguments):
        assert (program, arguments[0]) == ("postmap", "-s")
        if arguments[1] not in tables:
            raise PostfixError("no such table")
        return "".join(f"{key}\tvalue\n" for key in tables[arguments[1]])

    monkeypatch.setattr(Instance, "run", run)
    found = _Maps(Instance(Path("/etc/postfix")), OURS)
    return found, tables


def items(maps, value):
    """The keys of a parameter's value, and what could not be listed."""
    unlisted = []
    return list(maps[0].items(value, "domains", unlisted)), unlisted


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("a.test", ["a.test"]),
        ("a.test, b.test c.test\n d.test", ["a.test", "b.test", "c.test", "d.test"]),
        (".a.test", [".a.test"]),
        ("!a.test b.test", ["!a.test", "b.test"]),
        ("[192.0.2.1] [IPv6:::1]", ["[192.0.2.1]", "[IPv6:::1]"]),
        ("inline:{a.test=x}", ["a.test"]),
        ("inline:{a.test=x, b.test=y}", ["a.test", "b.test"]),
        ("inline:{{a.test = x y}, {b.test = z}}", ["a.test", "b.test"]),
        ("inline:{ a.test=x, b.test=y }, c.test", ["a.test", "b.test", "c.test"]),
    ],
)
def test_items_of_a_list(maps, value, expected):
    """Literal items and inline tables are read as Postfix splits them."""
    assert (expected, []) == items(maps, value)


@pytest.mark.parametrize("kind", ["hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash"])
def test_keys_of_a_table(maps, kind):
    """A table of fixed strings is listed by postmap."""
    maps[1][f"{kind}:/etc/x"] = ["a.test", "b.test"]
    assert items(maps, f"{kind}:/etc/x") == (["a.test", "b.test"], [])


@pytest.mark.parametrize("item", ["pcre:/x", "ldap:/x", "proxy:hash:/x", "mysql:/x", "hash:/gone"])
def test_what_can_not_be_listed_is_noted(maps, item):
    """Hazards then count as there."""
    assert items(maps, f"a.test, {item}") == (["a.test"], [f"domains:{item}"])


def test_table_with_too_many_keys_is_not_listed(maps, monkeypatch):
    """Nor kept in part: it counts as one that can't be listed."""
    monkeypatch.setattr(surroundings, "_MAX_KEYS", 2)
    maps[1]["hash:/x"] = ["a", "b", "c"]
    assert items(maps, "hash:/x") == ([], ["domains:hash:/x"])


def test_our_own_tables_are_left_out(maps):
    """What we wired says nothing of the admin's Postfix."""
    assert items(maps, f"pcre:{OURS}/decode.pcre, a.test") == (["a.test"], [])


def test_files_are_read(maps, tmp_path):
    """A list may name a file; comments and folds don't count."""
    file = tmp_path / "domains"
    file.write_text("# comment\na.test x\n  continued\n\nb.test,\n\tc\n")
    assert items(maps, str(file)) == (["a.test", "b.test"], [])
    assert items(maps, str(tmp_path / "gone")) == ([], [])


@pytest.mark.parametrize(
    ("value", "with_subdomains", "domains", "parents"),
    [
        ("a.test", False, {"a.test"}, set()),
        ("A.Test.", False, {"a.test"}, set()),
        ("b\u00fccher.test", False, {"xn--bcher-kva.test"}, set()),
        ("a.test", True, {"a.test"}, {"a.test"}),
        (".a.test", False, {".a.test"}, {"a.test"}),
        ("!a.test, b.test", False, {"b.test"}, set()),
    ],
)
def test_hosted_domains(maps, value, with_subdomains, domains, parents):
    """relay_domains take their subdomains along, the other lists where they say so."""
    found = _Found()
    surroundings._add_domains(found, maps[0], value, with_subdomains=with_subdomains)
    assert (domains, parents) == (found.domains, found.parents)


def test_transport_map_of_a_domain_does_not_cover_its_subdomains(maps):
    """Postfix matches subdomains of `a.test` only under the key `.a.test` (transport(5))."""
    maps[1]["hash:/x"] = ["a.test", ".b.test"]
    found = _Found()
    surroundings._add_transports(found, maps[0], "hash:/x")
    assert "a.test" in found.domains
    assert found.parents == {"b.test"}


def test_transport_map_of_an_address_and_of_everything(maps):
    """An address may lead elsewhere; `*` means that nothing is known."""
    maps[1]["hash:/x"] = ["boss@ext.test", "*"]
    found = _Found()
    surroundings._add_transports(found, maps[0], "hash:/x")
    assert found.addresses == {"boss@ext.test"}
    assert found.unlisted == ["domains:transport_maps *"]


def test_alias_maps(maps):
    """Domains of virtual_alias_domains are hosted; any other key may move a recipient."""
    maps[1]["hash:/v"] = ["valias.test", "info@valias.test", "boss@ext.test", "@all.test"]
    maps[1]["hash:/c"] = ["Old@Ext.Test", "root"]
    found = _Found()
    values = {
        "virtual_alias_domains": "hash:/v",
        "virtual_alias_maps": "hash:/v",
        "canonical_maps": "",
        "recipient_canonical_maps": "hash:/c, pcre:/p",
    }
    surroundings._add_aliases(found, maps[0], values)
    assert found.domains == {"valias.test"}
    assert found.addresses == {"boss@ext.test", "@all.test", "old@ext.test"}
    assert found.unlisted == ["alias:pcre:/p"]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("Boss@Ext.Test", {"boss@ext.test"}),
        ("@ext.test", {"@ext.test"}),
        ("root", set()),
        ('"x@ext.test', set()),
        ("x@hosted.test", set()),
    ],
)
def test_addresses_that_an_alias_moves(key, expected):
    """In the normal form in which recipients are compared; hosted ones say nothing new."""
    found = _Found(domains={"hosted.test"})
    surroundings._add_address(found, key)
    assert expected == found.addresses


CLASSES = {
    "canonical_classes": "envelope_sender, envelope_recipient, header_sender, header_recipient",
    "sender_canonical_classes": "envelope_sender, header_sender",
    "masquerade_classes": "envelope_sender, header_sender, header_recipient",
    "sender_canonical_maps": "",
    "canonical_maps": "",
    "masquerade_domains": "",
}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, False),
        ({"sender_canonical_maps": "hash:/x"}, True),
        ({"canonical_maps": "hash:/x"}, True),
        ({"masquerade_domains": "a.test"}, True),
        ({"sender_canonical_maps": "x", "sender_canonical_classes": "header_sender"}, False),
        ({"canonical_maps": "x", "canonical_classes": "envelope_recipient"}, False),
        ({"masquerade_domains": "x", "masquerade_classes": "header_sender"}, False),
        ({"canonical_maps": "x", "sender_canonical_classes": "header_sender"}, True),
    ],
)
def test_rewriting_of_envelope_senders_is_noticed(values, expected):
    """Only where the class of addresses includes them."""
    assert expected is surroundings._rewrites_senders({**CLASSES, **values})


def test_services_that_look_like_lanes(monkeypatch):
    """A pm- service that names none of our tables is the admin's own."""
    services = {
        "pm-a/unix": f"pm-a unix - - n - 5 smtp -o smtp_generic_maps=pcre:{OURS}/decode.pcre",
        "pm-fax/unix": "pm-fax unix - n n - - pipe user=fax",
        "smtp/unix": "smtp unix - - y - - smtp",
    }
    monkeypatch.setattr(Instance, "services", lambda _self: services)
    assert list(surroundings._foreign_lanes(Instance(Path("/etc/postfix")), OURS)) == ["pm-fax"]


def test_value_may_be_in_a_file(tmp_path):
    """Debian's myorigin is /etc/mailname."""
    name = tmp_path / "mailname"
    name.write_text("mx.test\n")
    assert surroundings.text_or_file(str(name)) == "mx.test"
    assert surroundings.text_or_file("mx.test") == "mx.test"
    assert surroundings.text_or_file(str(tmp_path / "gone")) == ""
    name.write_text("\n")
    assert surroundings.text_or_file(str(name)) == ""


def test_everything_is_gathered(monkeypatch):
    """One reading of Postfix's parameters gives the whole picture."""
    values = {
        **CLASSES,
        "mydestination": "mx.test, localhost",
        "virtual_mailbox_domains": "town.test",
        "relay_domains": "relay.test",
        "virtual_alias_maps": f"inline:{{boss@ext.test=x}}, pcre:{OURS}/decode.pcre",
        "recipient_canonical_maps": "",
        "virtual_alias_domains": "",
        "always_bcc": "",
        "recipient_bcc_maps": "",
        "sender_bcc_maps": "hash:/x",
        "myorigin": "mx.test",
        "relayhost": "[isp.test]",
        "sender_dependent_relayhost_maps": "",
        "sender_dependent_default_transport_maps": f"lmdb:{OURS}/sender_transport",
        "transport_maps": "",
    }
    monkeypatch.setattr(Instance, "parameters", lambda _self, *names: {n: values[n] for n in names})
    monkeypatch.setattr(Instance, "services", lambda _self: {})
    around = surroundings.read(Instance(Path("/etc/postfix")), "slow:[way.test]", OURS)
    assert (around.transport, around.nexthop) == ("slow", "[way.test]")
    assert around.hosted == {"mx.test", "localhost", "town.test", "relay.test"}
    assert around.hosted_parents == {"relay.test"}
    assert around.aliased == {"boss@ext.test"}
    assert around.relayhost == "[isp.test]"
    assert around.copies
    assert not around.rewrites
    assert not around.relayhost_varies
    assert around.unlisted == ()
