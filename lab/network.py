"""Hosts in network namespaces, on one switch: for what happens when a wire is cut.

A thread enters a namespace and leaves it; what it starts meanwhile stays there.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWNET = 0x40000000  # setns(2)
NET = "10.77.0.0/24"
_C = ctypes.CDLL(None, use_errno=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@dataclass(frozen=True)
class Node:
    """One namespace: a loopback of its own, and one address on the switch."""

    namespace: str
    address: str
    switch: str
    port: str  # its end of the wire at the switch

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let this thread, and all that it starts, be in the namespace."""
        with ExitStack() as stack:
            own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, own)
            there = os.open(Path("/run/netns") / self.namespace, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, there)
            _enter(there)
            stack.callback(_enter, own)
            yield

    def cut(self) -> None:
        """Cut the wire: packets vanish, and neither side is told."""
        _ip("-n", self.switch, "link", "set", self.port, "nomaster")

    def mend(self) -> None:
        """Mend it."""
        _ip("-n", self.switch, "link", "set", self.port, "master", "switch")


def _enter(descriptor: int) -> None:
    if _C.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def network(names: Sequence[str]) -> Iterator[dict[str, Node]]:
    """A switch, and a node for each name; all of it is gone afterwards."""
    unique = f"pm{os.getpid()}"
    switch = f"{unique}-switch"
    with ExitStack() as stack:
        _namespace(stack, switch)
        _ip("-n", switch, "link", "add", "switch", "type", "bridge")
        _ip("-n", switch, "link", "set", "switch", "up")
        nodes = {}
        for number, name in enumerate(names, 1):
            node = Node(f"{unique}-{name}", f"10.77.0.{number}", switch, f"port{number}")
            _namespace(stack, node.namespace)
            _connect(node)
            nodes[name] = node
        yield nodes


def _namespace(stack: ExitStack, name: str) -> None:
    _ip("netns", "add", name)
    stack.callback(_ip, "netns", "del", name)
    _ip("-n", name, "link", "set", "lo", "up")


def _connect(node: Node) -> None:
    end = ("peer", "name", "wire", "netns", node.namespace)
    _ip("-n", node.switch, "link", "add", node.port, "type", "veth", *end)
    _ip("-n", node.switch, "link", "set", node.port, "master", "switch", "up")
    _ip("-n", node.namespace, "address", "add", f"{node.address}/24", "dev", "wire")
    _ip("-n", node.namespace, "link", "set", "wire", "up")
