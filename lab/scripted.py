"""A server that says word for word what a test wants, over TLS from the first byte."""

import socketserver
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

Answer = Callable[[str], str]  # a command's line, to what is answered; "" hangs up


class Scripted:
    """Answers each command, takes each message, and remembers what it was told."""

    def __init__(self, certificate: Path, answer: Answer, greeting: str = "220 odd.lab") -> None:
        self.commands: list[str] = []
        self.messages = 0
        self._answer, self._greeting = answer, greeting
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def setup(self) -> None:
                self.request = context.wrap_socket(self.request, server_side=True)
                super().setup()

            def finish(self) -> None:
                with suppress(OSError):
                    super().finish()
                self.request.close()

            def handle(self) -> None:
                outer._talk(self)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _talk(self, peer: socketserver.StreamRequestHandler) -> None:
        self._say(peer, self._greeting)
        for line in iter(peer.rfile.readline, b""):
            command = line.decode("utf-8", "replace").strip()
            self.commands.append(command)
            reply = self._answer(command)
            if not reply:
                return
            self._say(peer, reply)
            if command.upper() == "DATA" and reply.startswith("354"):
                self._take(peer)

    def _take(self, peer: socketserver.StreamRequestHandler) -> None:
        for line in iter(peer.rfile.readline, b".\r\n"):
            if not line:
                return
        self.messages += 1
        self._say(peer, "250 2.0.0 taken")

    @staticmethod
    def _say(peer: socketserver.StreamRequestHandler, text: str) -> None:
        peer.wfile.write((text.replace("\n", "\r\n") + "\r\n").encode())

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


def polite(ehlo: str, **other: str) -> Answer:
    """A server that takes everything; `other` by command."""
    usual = {
        "EHLO": ehlo,
        "AUTH": "235 2.7.0 welcome",
        "DATA": "354 go ahead",
        "QUIT": "",
        **{verb.upper(): text for verb, text in other.items()},
    }

    def answer(command: str) -> str:
        verb = command.split(" ", maxsplit=1)[0].upper()
        return usual.get(verb, "250 2.0.0 fine")

    return answer
