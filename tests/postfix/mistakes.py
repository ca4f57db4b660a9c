"""What admins do to a Postfix that Pointsman is wired into, as shell commands.

`$MAIL_CONFIG` is the instance, so that `postconf` and the like need no `-c`. `$PORT` is a second
smtpd service of it, `$FREE` a port that nobody uses, `$TABLES` our tables, `$STATE` our state.
"""

from dataclasses import dataclass

RELOAD = "postfix reload"
OWN = '-P "$PORT/inet/{}"'
CHECKS = 'echo "{}" > $MAIL_CONFIG/own; postconf -e {}=regexp:$MAIL_CONFIG/own; ' + RELOAD
MADE = 'echo "{}" > $MAIL_CONFIG/own; postmap lmdb:$MAIL_CONFIG/own; postconf -e {}; ' + RELOAD
FILTERED = (
    'postconf -P "$PORT/inet/content_filter=smtp:[127.0.0.1]:$FREE"; '
    'postconf -M "127.0.0.1:$FREE/inet=127.0.0.1:$FREE inet n - n - - smtpd"; '
    "postconf -P {}; " + RELOAD
)


@dataclass(frozen=True)
class Mistake:
    """One of them; `mend` is what the fix says in words, before its command."""

    kind: str
    make: str
    mend: str = ""
    also: tuple[str, ...] = ()  # what else is found then
    after: tuple[str, ...] = ()  # what is still found when it is mended


def own(option: str) -> str:
    """An option of the second smtpd service."""
    return f'postconf -P "$PORT/inet/{option}"; {RELOAD}'


def main(*lines: str) -> str:
    """Lines of main.cf."""
    return "postconf -e " + " ".join(f'"{line}"' for line in lines) + f"; {RELOAD}"


MISTAKES = {
    "table of lanes taken out": Mistake(
        "setting", f"postconf -X sender_dependent_default_transport_maps; {RELOAD}"
    ),
    "carriers not decoded": Mistake("setting", main("smtp_generic_maps=")),
    "milter taken out of main.cf": Mistake("setting", main("smtpd_milters=")),
    "own header checks before ours": Mistake(
        "order",
        "old=$(postconf -h milter_header_checks); echo '/^X-/ WARN' > $MAIL_CONFIG/own; "
        f'postconf -e "milter_header_checks=regexp:$MAIL_CONFIG/own, $old"; {RELOAD}',
    ),
    "a milter behind ours": Mistake(
        "milter-order",
        'postconf -e "smtpd_milters=$(postconf -h smtpd_milters), '
        f'{{ inet:127.0.0.1:$FREE, default_action=accept }}"; {RELOAD}',
    ),
    "pickup without our cleanup": Mistake(
        "pickup", f"postconf -PX pickup/unix/cleanup_service_name; {RELOAD}"
    ),
    "bare newlines": Mistake("bare-newline", main("smtpd_forbid_bare_newline=no")),
    "bare newlines at one service": Mistake("bare-newline", own("smtpd_forbid_bare_newline=no")),
    "short queue ids": Mistake("short-queue-ids", main("enable_long_queue_ids=no")),
    "small active queue": Mistake("active-queue", main("qmgr_message_active_limit=1000")),
    "postfix-pcre removed": Mistake(
        "table-type",
        "mkdir -p $MAIL_CONFIG/meta; grep -v pcre /etc/postfix/dynamicmaps.cf "
        "> $MAIL_CONFIG/meta/dynamicmaps.cf; "
        f"postconf -e meta_directory=$MAIL_CONFIG/meta; {RELOAD}",
        mend="postconf -e meta_directory=/etc/postfix; postfix reload; false",
        also=("not-comparable",),
    ),
    "instance copied": Mistake(
        "second-instance",
        "mkdir -p $MAIL_CONFIG/copy; cp $MAIL_CONFIG/*.cf $MAIL_CONFIG/copy; "
        f"postconf -e multi_instance_directories=$MAIL_CONFIG/copy; {RELOAD}",
    ),
    "service without milters": Mistake("no-milter", own("smtpd_milters=")),
    "service with another milter alone": Mistake(
        "service",
        own("smtpd_milters={inet:127.0.0.1:$FREE,connect_timeout=1s,default_action=accept}"),
    ),
    "path from within a chroot": Mistake(
        "milter-unreachable", own("smtpd_milters=unix:/pointsman/milter.sock"), also=("service",)
    ),
    "observing": Mistake("observing", "pointsman setup --observe"),
    "service left out": Mistake("left-out", 'pointsman setup --services "$FIRST"'),
    "no_milters": Mistake("no-milter", own("receive_override_options=no_milters")),
    "no_milters beside another": Mistake(
        "no-milter", own("receive_override_options=no_address_mappings,no_milters")
    ),
    "no_milters everywhere": Mistake("no-milters", main("receive_override_options=no_milters")),
    "milter off for some clients": Mistake(
        "milter-maps",
        "echo '192.0.2.0/24 DISABLE' > $MAIL_CONFIG/own; "
        f"postconf -e smtpd_milter_maps=cidr:$MAIL_CONFIG/own; {RELOAD}",
        mend='echo "192.0.2.0/24 unix:$QUEUE/pointsman/milter.sock" > $MAIL_CONFIG/own',
    ),
    "unchecked while the milter is away": Mistake(
        "milter-action",
        'postconf -e milter_default_action=accept; postconf -P "$PORT/inet/smtpd_milters='
        f'unix:$QUEUE/pointsman/milter.sock"; {RELOAD}',
        also=("service",),
    ),
    "macros left out": Mistake("milter-macros", main("milter_mail_macros=i {mail_addr}")),
    "filter before the queue": Mistake(
        "proxy-filter", own("smtpd_proxy_filter=127.0.0.1:$FREE"), after=("filter-return",)
    ),
    "content filter": Mistake(
        "service", FILTERED.format('"127.0.0.1:$FREE/inet/content_filter="'), also=("setting",)
    ),
    "content filter, nobody takes back": Mistake(
        "filter-return",
        FILTERED.format('"127.0.0.1:$FREE/inet/smtpd_helo_required=no"'),
        also=("service", "setting"),
    ),
    "policy left out": Mistake(
        "no-policy",
        'postconf -e "smtpd_end_of_data_restrictions=check_policy_service '
        'unix:pointsman/policy.sock"; ' + own("smtpd_end_of_data_restrictions=permit_mynetworks"),
    ),
    "policy out of the chroot": Mistake(
        "policy-unreachable",
        'postconf -e "smtpd_end_of_data_restrictions=check_policy_service '
        'unix:$QUEUE/pointsman/policy.sock"; '
        f'postconf -F "$PORT/inet/chroot=y"; {RELOAD}',
        mend='postconf -e "smtpd_end_of_data_restrictions=check_policy_service '
        'unix:pointsman/policy.sock"; postfix reload; false',
    ),
    "cleanup with checks of its own": Mistake(
        "marker", f"postconf -P cleanup/unix/milter_header_checks=; {RELOAD}"
    ),
    "smtp with generic maps of its own": Mistake(
        "carrier-shown", f"postconf -P relay/unix/smtp_generic_maps=; {RELOAD}"
    ),
    "FILTER": Mistake(
        "filter",
        CHECKS.format("/^X-Slow:/ FILTER smtp:[192.0.2.9]", "header_checks"),
        mend=": > $MAIL_CONFIG/own",
    ),
    "REDIRECT in an access table": Mistake(
        "filter",
        MADE.format(
            "x@town.test REDIRECT boss@town.test",
            '"smtpd_sender_restrictions=check_sender_access lmdb:$MAIL_CONFIG/own"',
        ),
        mend=": > $MAIL_CONFIG/own",
    ),
    "transport map of all": Mistake(
        "transport-all",
        MADE.format("* smtp:[192.0.2.9]", "transport_maps=lmdb:$MAIL_CONFIG/own"),
        mend=": > $MAIL_CONFIG/own",
    ),
    "transport pattern of all": Mistake(
        "transport-all",
        CHECKS.format("/./ smtp:[192.0.2.9]", "transport_maps"),
        mend=": > $MAIL_CONFIG/own",
        also=("transport-map",),
    ),
    "transport map of some": Mistake(
        "transport-map",
        MADE.format("special.test smtp:[192.0.2.9]", "transport_maps=lmdb:$MAIL_CONFIG/own"),
        mend=": > $MAIL_CONFIG/own",
    ),
    "transport map to a lane": Mistake(
        "transport-lane",
        MADE.format("localhost pm-a:[192.0.2.9]", "transport_maps=lmdb:$MAIL_CONFIG/own"),
        mend=": > $MAIL_CONFIG/own",
    ),
    "table for everybody": Mistake(
        "sender-everybody",
        "pointsman connector default a; echo '/@/ smtp:[192.0.2.9]' > $MAIL_CONFIG/own; "
        'postconf -e "sender_dependent_default_transport_maps='
        "$(postconf -h sender_dependent_default_transport_maps), "
        f'regexp:$MAIL_CONFIG/own"; {RELOAD}',
    ),
    "address beside a linked domain": Mistake(
        "sender-table",
        MADE.format(
            "boss@town.test smtp:[192.0.2.9]",
            '"sender_dependent_default_transport_maps='
            "$(postconf -h sender_dependent_default_transport_maps), "
            'lmdb:$MAIL_CONFIG/own"',
        ),
        mend=": > $MAIL_CONFIG/own",
    ),
    "SRS that takes all": Mistake(
        "carrier-rewritten",
        CHECKS.format(r"/^(.*)@(.*)$/ SRS0=x=y=\${2}=\${1}@mx.lab.test", "sender_canonical_maps"),
        also=("sender-rewritten",),
        after=("sender-rewritten",),
    ),
    "canonical maps": Mistake(
        "sender-rewritten",
        MADE.format("old@town.test new@town.test", "canonical_maps=lmdb:$MAIL_CONFIG/own"),
    ),
    "masquerading": Mistake("sender-rewritten", main("masquerade_domains=town.test")),
    "copies": Mistake("bcc", main("always_bcc=archive@localhost")),
    "lane deferred": Mistake("deferred-lane", main("defer_transports=uucp, pm-a")),
    "soft bounces": Mistake("soft-bounce", main("soft_bounce=yes")),
    "soft bounces at one service": Mistake("soft-bounce", own("soft_bounce=yes")),
    "no default relay": Mistake("default-none", "pointsman connector default none"),
    "rule added to a table": Mistake("edited", f"echo '# x' >> $TABLES/marker.pcre; {RELOAD}"),
    "file of a lane removed": Mistake("edited", "rm $TABLES/ca/*"),
    "login readable": Mistake("edited", "chmod 644 $TABLES/login/*"),
    "table of senders edited": Mistake(
        "edited", "sed -i /town/d $TABLES/sender_transport", also=("lmdb",)
    ),
    "row taken out": Mistake("lmdb", "postmap -d @town.test lmdb:$TABLES/sender_transport"),
    "lmdb removed": Mistake("lmdb", "rm $TABLES/sender_transport.lmdb", also=("edited",)),
    "snapshot edited": Mistake("snapshot", "sed -i s/town.test/down.test/ $STATE/snapshot.json"),
    "snapshot removed": Mistake("snapshot", "rm $STATE/snapshot.json"),
    "edited, not reloaded": Mistake("not-reloaded", "postconf -e in_flow_delay=1s"),
    "database moved": Mistake("database", "mv $DB $DB.away", mend="mv $DB.away $DB; false"),
    "Postfix stopped": Mistake(
        "postfix",
        "master=$(($(cat $QUEUE/pid/master.pid))); postfix stop; "
        "while [ -d /proc/$master ]; do :; done",
    ),
    "smtpd can't start": Mistake(
        "smtpd",
        own("smtpd_sasl_type=nonsense"),
        mend='postconf -PX "$PORT/inet/smtpd_sasl_type"',
    ),
    "socket for root alone": Mistake("permissions", "chown root:root $QUEUE/pointsman/milter.sock"),
    "folder of sockets closed": Mistake("permissions", "chmod 700 $QUEUE/pointsman"),
    "snapshot for everybody": Mistake("permissions", "chmod 644 $STATE/snapshot.json"),
    "journal of root": Mistake("permissions", "chown root $STATE/policy.journal"),
    "key for everybody": Mistake("permissions", "chmod 644 $KEY", also=("not-comparable",)),
    "tables of somebody": Mistake("table-permissions", "chown nobody $TABLES/decode.pcre"),
    "folder of tables for everybody": Mistake("table-permissions", "chmod 777 $TABLES"),
    "configuration of everybody": Mistake("configuration-permissions", "chmod 666 $YAML"),
    "database of everybody": Mistake("database-permissions", "chmod 644 $DB"),
    "connector to ourselves": Mistake(
        "loop",
        "pointsman connector add self --host localhost:$PORT --tls none --auth none; "
        "pointsman connector enable self --untested",
    ),
    "agency for all": Mistake(
        "any-client",
        "pointsman agency set a --any-client",
        mend="pointsman agency set a --no-any-client --login a-app; false",
    ),
    "agency for this host": Mistake("loopback", "pointsman agency set a --network 127.0.0.0/8"),
}
