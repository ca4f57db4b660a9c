"""A Redis server of our own, on a unix socket."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.wire.policy_process import until


@dataclass
class Server:
    """One server that keeps nothing on disk."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self):
        return f"unix://{self.folder}/redis.sock"

    def start(self):
        """Start it, and wait until it answers."""
        options = ["--port", "0", "--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        command = ["redis-server", *options, "--unixsocket", f"{self.folder}/redis.sock"]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self.answers, "Redis to answer")
        return self

    def answers(self):
        """Whether it is there."""
        assert self.process.poll() is None
        try:
            return self.do("PING")
        except redis.RedisError:
            return False

    def do(self, *command):
        """One command."""
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            return client.execute_command(*command)

    def kill(self):
        """Kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
