"""What the figures were measured on."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path


def facts(folder: Path) -> dict[str, str]:
    """Machine, versions and date."""
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "memory": f"{int(memory[1]) / 2**20:.1f} GiB" if memory else "unknown",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "disk of the queue": _output("findmnt", "-no", "FSTYPE,SOURCE", "--target", str(folder)),
        "load before": " ".join(f"{n:.2f}" for n in os.getloadavg()),
        "Postfix": _output("postconf", "-dh", "mail_version"),
        "Python": platform.python_version(),
        "revision": _output("git", "describe", "--always", "--dirty") or "unknown",
    }


def _cpu() -> str:
    match = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return match[1] if match else platform.processor()


def _output(*command: str) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return " ".join(result.stdout.split())
