"""What the private Postfix and its Pointsman are configured to be."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.instance import Instance

MASTER_CF = """\
{port} inet n - n - - smtpd
pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def main_cf(instance: "Instance") -> dict[str, str]:
    """The parameters of a Postfix in one folder."""
    return {
        "compatibility_level": "3.6",
        "queue_directory": str(instance.queue_directory),
        "data_directory": str(instance.folder / "data"),
        "command_directory": "/usr/sbin",
        "daemon_directory": "/usr/lib/postfix/sbin",
        "meta_directory": "/etc/postfix",
        "shlib_directory": "/usr/lib/postfix",
        "maillog_file": str(instance.log_file),
        "maillog_file_prefixes": str(instance.folder),
        "syslog_name": "postfix",
        "myhostname": instance.hostname,
        "mydestination": "localhost, $myhostname",
        "mynetworks": "127.0.0.0/8, 192.0.2.0/24",
        "inet_interfaces": "127.0.0.1",
        "inet_protocols": "ipv4",
        "default_database_type": "lmdb",
        "alias_maps": f"lmdb:{instance.folder / 'aliases'}",
        "alias_database": f"lmdb:{instance.folder / 'aliases'}",
        "mail_spool_directory": f"{instance.folder}/spool/",
        "local_recipient_maps": "",
        "smtpd_peername_lookup": "no",
        "smtpd_client_connection_count_limit": "0",
        "in_flow_delay": "0",
        "smtpd_authorized_xclient_hosts": "127.0.0.1",
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_sasl_path": "smtpd",
        "smtpd_sasl_local_domain": "lab",
        "smtpd_relay_restrictions": (
            "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination"
        ),
        # The From as the client wrote it: Postfix would complete and mend it first.
        "local_header_rewrite_clients": "",
        "recipient_delimiter": "+",
        "smtp_host_lookup": "native",
        "minimal_backoff_time": "300s",
    }


def pointsman_yaml(instance: "Instance") -> dict[str, object]:
    """Pointsman's configuration file beside it."""
    return {
        "database": f"sqlite:///{instance.folder / 'db' / 'pointsman.db'}",
        "secret_key_file": str(instance.folder / "secret.key"),
        "state_directory": str(instance.state_directory),
        "log": str(instance.log_file),
        "postfix": {"config_directory": str(instance.config_directory)},
        "milter": {"socket": f"unix:{instance.queue_directory}/pointsman/milter.sock"},
        "policy": {"socket": f"unix:{instance.queue_directory}/pointsman/policy.sock"},
    }
