"""CPU time: steadier than any clock on a machine that others use too."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PARENT = 1  # fields of /proc/PID/stat behind the name: ppid,
_OWN = slice(11, 13)  # utime and stime,
_OWN_AND_REAPED = slice(11, 15)  # the same of children that have ended


def process_seconds(pid: int) -> float:
    """What a process has used, all its threads together; 0 for no process."""
    return _sum(dict(_processes()).get(pid, []), _OWN)


def tree_seconds(*roots: int) -> float:
    """What processes, their children and their children's children have used."""
    processes = dict(_processes())
    family = _family(processes, roots)
    return sum(_sum(processes.get(pid, []), _OWN_AND_REAPED) for pid in family)


def wakes(pid: int) -> int:
    """How often a process has gone to sleep and been woken; 0 for no process."""
    if not pid:
        return 0
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^voluntary_ctxt_switches:\s*(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0


def tree(*roots: int) -> set[int]:
    """Processes, their children and their children's children."""
    return _family(dict(_processes()), roots)


def _family(processes: Mapping[int, list[str]], roots: Iterable[int]) -> set[int]:
    found = set(roots) - {0}
    grown = True
    while grown:
        more = {pid for pid, words in processes.items() if int(words[_PARENT]) in found}
        grown = not more <= found
        found |= more
    return found


def _sum(words: list[str], which: slice) -> float:
    return sum(map(int, words[which])) / _TICKS


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Each process with the fields behind its name, which may hold blanks."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            yield int(folder.name), stat.rpartition(")")[2].split()
