"""A server that says word for word what a test wants: over TLS, after STARTTLS or in the clear."""

import socketserver
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# A command's line, to what is answered; "" hangs up, None says nothing ever more.
Answer = Callable[[str], str | None]


class Scripted:
    """Answers each command, takes each message, and remembers what it was told."""

    def __init__(
        self,
        certificate: Path,
        answer: Answer,
        greeting: str | None = "220 odd.lab",
        tls: str = "tls",
    ) -> None:
        self.commands: list[str] = []
        self.messages = 0
        self._answer, self._greeting = answer, greeting
        self._tls, self._stopped = tls, threading.Event()
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate)
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def setup(self) -> None:
                if tls == "tls":
                    outer._encrypt(self)
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

    def _encrypt(self, peer: socketserver.StreamRequestHandler) -> None:
        peer.request = self._context.wrap_socket(peer.request, server_side=True)

    def _talk(self, peer: socketserver.StreamRequestHandler) -> None:
        self._say(peer, self._greeting)
        # Not an iterator: STARTTLS puts another stream in the place of this one.
        while line := peer.rfile.readline():
            command = line.decode("utf-8", "replace").strip()
            self.commands.append(command)
            reply = self._answer(command)
            if reply == "":
                return
            self._say(peer, reply)
            if command.upper() == "STARTTLS" and self._tls == "starttls":
                self._encrypt(peer)
                socketserver.StreamRequestHandler.setup(peer)
            if command.upper() == "DATA" and reply and reply.startswith("354"):
                self._take(peer)

    def _take(self, peer: socketserver.StreamRequestHandler) -> None:
        for line in iter(peer.rfile.readline, b".\r\n"):
            if not line:
                return
        ending = self._answer(".")
        self.messages += ending is not None
        self._say(peer, ending)

    def _say(self, peer: socketserver.StreamRequestHandler, text: str | None) -> None:
        if text is None:
            self._stopped.wait()
        else:
            peer.wfile.write((text.replace("\n", "\r\n") + "\r\n").encode())

    def stop(self) -> None:
        """Close the port, and end what hangs."""
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()


def polite(ehlo: str, /, **other: str | None) -> Answer:
    """A server that takes everything; `other` by command."""
    usual: dict[str, str | None] = {
        "EHLO": ehlo,
        "AUTH": "235 2.7.0 welcome",
        "DATA": "354 go ahead",
        "STARTTLS": "220 2.0.0 go ahead",
        ".": "250 2.0.0 taken",
        "QUIT": "",
        **{verb.upper(): text for verb, text in other.items()},
    }

    def answer(command: str) -> str | None:
        verb = command.split(" ", maxsplit=1)[0].upper()
        return usual.get(verb, "250 2.0.0 fine")

    return answer
