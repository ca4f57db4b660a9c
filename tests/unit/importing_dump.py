"""A dump of mailcow's tables, with the columns that they have and count."""

import json

MAILCOW = {
    "relayhosts": (
        "id hostname username password active",
        [
            (1, "[smtp.one.test]:587", "one", "pw:1", 1),
            (2, "[smtp.two.test]:587", "two", "pw'2", 1),
            (3, "[smtp.open.test]", "", "", 1),
            (4, "[old.test]", "old", "pw4", 0),
            (5, "[smtp.one.test]:587", "five", "pw5", 1),
        ],
    ),
    "transports": (
        "id destination nexthop username password is_mx_based active",
        [(1, "partner.test", "[mx.partner.test]", "", "", 0, 1)],
    ),
    "domain": (
        "domain relayhost backupmx active",
        [
            ("a.test", "1", 0, 1),
            ("b.test", "0", 0, 1),
            ("c.test", "4", 0, 1),
            ("d.test", "5", 0, 1),
            ("backup.test", "0", 1, 1),
        ],
    ),
    "alias_domain": ("alias_domain target_domain active", [("aka.test", "a.test", 1)]),
    "alias": (
        "id address goto domain active",
        [
            (1, "u@a.test", "u@a.test", "a.test", 1),
            (2, "boss@a.test", "boss@a.test", "a.test", 1),
            (3, "chief@a.test", "boss@a.test", "a.test", 1),
            (4, "x@b.test", "x@b.test", "b.test", 1),
            (5, "open@a.test", "open@a.test", "a.test", 1),
            (6, "@b.test", "x@b.test", "b.test", 1),
            (7, "gone@b.test", "x@b.test", "b.test", 0),
        ],
    ),
    "mailbox": (
        "username attributes domain active",
        [
            ("u@a.test", {"relayhost": "0", "tls_enforce_out": "0"}, "a.test", 1),
            ("boss@a.test", {"relayhost": "2", "tls_enforce_out": "1"}, "a.test", 1),
            ("x@b.test", {"relayhost": "2"}, "b.test", 1),
            ("open@a.test", {"relayhost": "3"}, "a.test", 1),
        ],
    ),
    "sender_acl": ("id logged_in_as send_as external", [(1, "x@b.test", "u@a.test", 0)]),
    "tls_policy_override": (
        "id dest policy parameters active",
        [(1, "[smtp.two.test]:587", "secure", "match=two.test", 1), (2, "[x]", "none", "", 0)],
    ),
}


def literal(value):
    """A value as mysqldump writes it."""
    if isinstance(value, int):
        return str(value)
    text = json.dumps(value) if isinstance(value, dict) else value
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"') + "'"


def dump_of(tables, path):
    """A file as mysqldump writes it."""
    lines = ["-- MySQL dump 10.13"]
    for name, (columns, rows) in tables.items():
        fields = ",\n".join(f"  `{column}` varchar(255) NOT NULL" for column in columns.split())
        lines.append(f"CREATE TABLE `{name}` (\n{fields}\n) ENGINE=InnoDB;")
        values = ",".join(f"({','.join(map(literal, row))})" for row in rows)
        lines.append(f"INSERT INTO `{name}` VALUES {values};")
    path.write_text("\n".join(lines) + "\n")
    return str(path)
