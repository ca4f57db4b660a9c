"""Every kind of finding, by topic: the one table, which docs/check.md shows as well.

Within a topic the causes come before what they may cause.
"""

from collections.abc import Iterator

from pointsman.checks import (
    applied,
    connectors,
    daemons,
    files,
    filters,
    overruling,
    services,
    settings,
)
from pointsman.checks.facts import Facts
from pointsman.checks.finding import ERROR, NOTE, WARNING, Finding, Kind, findings

# The agent looks for these by itself, once a day.
CERTIFICATES = (
    Kind(
        "certificate-30",
        WARNING,
        connectors.certificates_ending,
        "`pointsman connector set NAME --pfx FILE`",
    ),
    Kind("certificate-7", ERROR, connectors.certificates_urgent, "the same, today"),
    Kind("certificate-ended", ERROR, connectors.certificates_ended, "the same, now"),
)
TOPICS: dict[str, tuple[Kind, ...]] = {
    "What setup wrote": (
        Kind("observing", NOTE, settings.observing, "`pointsman setup --enforce`"),
        Kind("not-set-up", ERROR, settings.not_set_up, "`pointsman setup`"),
        Kind("setting", ERROR, settings.changed_settings, "`pointsman setup`"),
        Kind("service", ERROR, settings.changed_services, "`pointsman setup`"),
        Kind(
            "order",
            ERROR,
            settings.wrong_order,
            "`pointsman setup`, which puts ours into its place",
        ),
        Kind(
            "milter-order",
            WARNING,
            settings.milter_not_last,
            "`pointsman setup`, which puts ours last",
        ),
        Kind("pickup", ERROR, settings.pickup_elsewhere, "`pointsman setup`"),
        Kind(
            "bare-newline",
            ERROR,
            settings.bare_newline,
            "`pointsman setup`, or take the service's own option away",
        ),
        Kind("short-queue-ids", ERROR, settings.short_queue_ids, "`pointsman setup`"),
        Kind("active-queue", WARNING, settings.small_active_queue, "`pointsman setup`"),
        Kind("postfix-version", ERROR, settings.old_postfix, "a newer Postfix"),
        Kind(
            "table-type",
            ERROR,
            settings.missing_tables,
            "`apt install postfix-lmdb postfix-pcre postfix-sqlite`",
        ),
        Kind(
            "second-instance",
            ERROR,
            settings.second_instance,
            "take ours out of the copy, or wire it with a configuration file of its own",
        ),
    ),
    "Services with options of their own": (
        Kind(
            "no-milter",
            ERROR,
            services.without_milter,
            "take the option away: `postconf -PX SERVICE/inet/smtpd_milters`",
        ),
        Kind("left-out", NOTE, services.left_out, "`pointsman setup --services NAME,...`"),
        Kind(
            "milter-unreachable",
            ERROR,
            services.unreachable_milter,
            "a path relative to the queue directory is right for both",
        ),
        Kind(
            "no-milters",
            ERROR,
            services.milters_off,
            "take `no_milters` out of the service's options",
        ),
        Kind(
            "milter-maps",
            WARNING,
            services.exempted_clients,
            "name our milter in each of its lines",
        ),
        Kind(
            "milter-action",
            ERROR,
            services.accepting_milter,
            "take the option away; setup writes `default_action=tempfail`",
        ),
        Kind(
            "milter-macros",
            ERROR,
            services.missing_macros,
            "`postconf -X NAME`: Postfix's default has them all",
        ),
        Kind(
            "proxy-filter",
            ERROR,
            filters.proxy_filter,
            "use the same filter after the queue, as `content_filter`",
        ),
        Kind(
            "filter-return",
            ERROR,
            filters.without_return,
            "give that service `-o content_filter=`",
        ),
        Kind(
            "no-policy",
            ERROR,
            services.without_policy,
            "put `check_policy_service` into the service's own restrictions",
        ),
        Kind(
            "policy-unreachable",
            ERROR,
            services.unreachable_policy,
            "`unix:pointsman/policy.sock`, relative to the queue directory",
        ),
        Kind("marker", ERROR, services.marker_overruled, "take the option away"),
        Kind(
            "carrier-shown",
            ERROR,
            services.carriers_shown,
            "put our table first in the service's own option",
        ),
    ),
    "Rules that win over a lane": (
        Kind(
            "filter",
            WARNING,
            overruling.filters,
            "take the line out; `content_filter` does leave lanes alone",
        ),
        Kind(
            "transport-all",
            ERROR,
            overruling.every_recipient,
            "take the line out, and set `relayhost` if that is what you meant",
        ),
        Kind(
            "transport-map",
            NOTE,
            overruling.transports,
            "nothing, if it is meant; else take the recipients out",
        ),
        Kind(
            "transport-lane",
            WARNING,
            overruling.lane_for_recipient,
            "take the line out, and link the senders",
        ),
        Kind(
            "sender-everybody",
            ERROR,
            overruling.answers_everybody,
            "take the table out",
        ),
        Kind(
            "sender-table",
            WARNING,
            overruling.rows_without_effect,
            "take the line out, or link the address",
        ),
        Kind(
            "carrier-rewritten",
            ERROR,
            overruling.carriers_rewritten,
            "put a rule first that leaves `.pm.invalid` as it is",
        ),
        Kind(
            "sender-rewritten",
            NOTE,
            overruling.senders_rewritten,
            "nothing; or rewrite header fields only",
        ),
        Kind("bcc", WARNING, overruling.copies, "`pointsman connector default NAME --null-sender`"),
        Kind(
            "deferred-lane",
            ERROR,
            overruling.deferred_lanes,
            "take the lane out; `pointsman connector disable` or `pause` says it better",
        ),
        Kind("soft-bounce", WARNING, overruling.soft_bounces, "`postconf -e soft_bounce=no`"),
        Kind(
            "default-none",
            NOTE,
            overruling.no_default_relay,
            "nothing, if it is meant; else `pointsman connector default postfix`",
        ),
    ),
    "What was applied": (
        Kind(
            "database",
            ERROR,
            applied.database_away,
            "what the sentence says: its disk, its server, its owner",
        ),
        Kind("not-comparable", ERROR, applied.not_comparable, "what the sentence says"),
        Kind(
            "not-applied",
            ERROR,
            applied.not_applied,
            "`pointsman apply`, which says what hinders it",
        ),
        Kind("edited", ERROR, applied.edited_by_hand, "`pointsman apply`"),
        Kind("snapshot", ERROR, applied.snapshot_differs, "`pointsman apply`"),
        Kind(
            "lmdb",
            ERROR,
            applied.lmdb_differs,
            "`postmap lmdb:/etc/postfix/pointsman/sender_transport`",
        ),
        Kind("not-reloaded", WARNING, applied.not_reloaded, "`postfix reload`"),
        Kind(
            "other-host",
            WARNING,
            applied.other_hosts,
            "`pointsman check` on that host; `pointsman host remove` if it is gone for good",
        ),
        Kind("clock", WARNING, applied.clock_back, "`timedatectl set-ntp true`"),
    ),
    "Daemons and their files": (
        Kind("postfix", ERROR, daemons.postfix_down, "`postfix start`"),
        Kind(
            "smtpd",
            ERROR,
            daemons.smtpd_silent,
            "read smtpd's words in the mail log, and correct its options",
        ),
        Kind("milter", ERROR, daemons.milter_down, "start it"),
        Kind("policy", ERROR, daemons.policy_down, "start it"),
        Kind(
            "policy-revision",
            ERROR,
            daemons.policy_behind,
            "restart it; its log says why it can't read the snapshot",
        ),
        Kind("submit", ERROR, daemons.submit_down, "start it"),
        Kind("agent", ERROR, daemons.agent_down, "start it"),
        Kind(
            "mail-log", WARNING, daemons.no_mail_log, "`apt install rsyslog`, or set `maillog_file`"
        ),
        Kind("permissions", ERROR, files.wrong_rights, "`chown` and `chmod`, as printed"),
        Kind(
            "table-permissions",
            ERROR,
            files.tables_of_others,
            "`chown root` and `chmod go-w`, as printed",
        ),
        Kind(
            "configuration-permissions",
            ERROR,
            files.configuration_of_others,
            "`chown` and `chmod`, as printed",
        ),
        Kind(
            "database-permissions",
            ERROR,
            files.database_of_others,
            "`chown` and `chmod`, as printed",
        ),
        Kind("disk-full", ERROR, daemons.full_disks, "make room"),
        Kind("disk", WARNING, daemons.filling_disks, "make room"),
    ),
    "Connectors and agencies": (
        Kind(
            "loop", ERROR, connectors.leading_back, "give it its provider's server, or disable it"
        ),
        Kind("sasl", ERROR, connectors.no_sasl, "`apt install libsasl2-modules`"),
        Kind(
            "connector-waits",
            WARNING,
            connectors.forgotten,
            "`pointsman connector enable NAME`, or unlink its senders",
        ),
        Kind(
            "any-client",
            NOTE,
            connectors.any_client,
            "`pointsman agency set NAME --no-any-client --login LOGIN`",
        ),
        Kind(
            "loopback",
            NOTE,
            connectors.loopback_network,
            "take the network away, if the agency has a login",
        ),
    ),
    "Certificates and tokens": (
        *CERTIFICATES,
        Kind(
            "ca-ended",
            WARNING,
            connectors.authorities_ended,
            "`pointsman connector set NAME --ca-file FILE`",
        ),
        Kind(
            "token",
            WARNING,
            connectors.tokens_old,
            "see the log; `pointsman connector authorize NAME`",
        ),
        Kind(
            "token-ended",
            ERROR,
            connectors.tokens_ended,
            "see the log; `pointsman connector authorize NAME`",
        ),
    ),
}
KINDS = {kind.name: kind for kinds in TOPICS.values() for kind in kinds}


def judge(facts: Facts) -> Iterator[Finding]:
    """All that is wrong, in the table's order."""
    return findings(KINDS.values(), facts)
