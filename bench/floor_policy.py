"""The floor under any policy server in Python: asyncio, and DUNNO to whatever is asked.

usage: python -m bench.floor_policy SOCKET
"""

import asyncio
import os
import sys
from pathlib import Path

ANSWER = b"action=DUNNO\n\n"
END = b"\n\n"


class Peer(asyncio.Protocol):
    """One connection; it looks for the ends of requests, and at nothing else."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        asked = data.count(END)
        self._rest = data[data.rfind(END) + len(END) :] if asked else data
        self._transport.write(ANSWER * asked)


async def serve(path: Path) -> None:
    """Serve until killed."""
    os.umask(0)  # Postfix's own account may connect
    server = await asyncio.get_running_loop().create_unix_server(Peer, str(path), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
