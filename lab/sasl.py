"""Real SASL logins for the clients of a private Postfix: Cyrus with a file of its own."""

import shutil
import subprocess
from pathlib import Path

REALM = "lab"


def create(folder: Path) -> None:
    """Write what Cyrus reads, where `cyrus_sasl_config_path` leads it."""
    folder.mkdir()
    (folder / "smtpd.conf").write_text(
        "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\n"
        f"sasldb_path: {folder / 'sasldb2'}\n"
    )


def add(folder: Path, login: str, password: str) -> None:
    """Let a client log in."""
    database = folder / "sasldb2"
    subprocess.run(
        ["/usr/sbin/saslpasswd2", "-p", "-c", "-f", str(database), "-u", REALM, login],
        input=password.encode(),
        check=True,
        capture_output=True,
    )
    shutil.chown(database, "root", "postfix")
    database.chmod(0o640)
