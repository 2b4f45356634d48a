"""How nginx and Bulkhead are configured and started."""

import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import client
from processes import Server
from settings import BENCHMARKS, ROOT


def free_port():
    """A port from the kernel that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fill(template, **values):
    """The template with each @NAME@ replaced."""
    return re.sub(r"@([A-Z_]+)@", lambda match: str(values[match.group(1)]), template)


class Workshop:
    """The temporary directory of a run, and the servers in it."""

    def __init__(self, settings, secret):
        self.settings = settings
        self.secret = secret
        self._directory = tempfile.TemporaryDirectory(prefix="bulkhead-bench-")
        self.directory = pathlib.Path(self._directory.name)
        # nginx's workers run as another user.
        self.directory.chmod(0o755)
        self._count = 0

    def close(self):
        Server.stop_all()
        self._directory.cleanup()

    def place(self, name):
        """A new directory in it."""
        self._count += 1
        place = self.directory / f"{name}-{self._count}"
        place.mkdir()
        place.chmod(0o755)
        return place

    def compile(self, source, name, *options):
        """What cc makes of a C file in Benchmarks.

        Raises: Failure if there is no compiler, or it refuses.
        """
        compiler = shutil.which("cc")
        if not compiler:
            raise client.Failure("there is no C compiler")
        made = self.place("compiled") / name
        done = subprocess.run(
            [compiler, "-O2", "-Wall", "-Werror", *options, "-o", made, BENCHMARKS / source],
            capture_output=True, text=True)
        if done.returncode != 0:
            raise client.Failure(f"{source} does not compile: {done.stderr}")
        made.chmod(0o755)
        return made

    def floor(self, body):
        """The least that a server on epoll, recv and send costs; `body` is the length of what it answers."""
        place, port = self.place("floor"), free_port()
        program = self.compile("floor/floor.c", "floor", "-pthread")
        server = Server([program, str(port), str(self.settings.workers), str(body)], port, place / "stderr.log")
        client.await_answer(server)
        return server

    def nginx(self):
        """nginx with every location of Benchmarks/nginx; `logging_port` is that of the server with an access log."""
        place = self.place("nginx")
        port, logging_port = free_port(), free_port()
        template = (BENCHMARKS / "nginx/nginx.conf.in").read_text()
        configuration = place / "nginx.conf"
        configuration.write_text(fill(
            template, DIR=place, PORT=port, LOGGING_PORT=logging_port, WORKERS=self.settings.workers,
            LUA=BENCHMARKS / "nginx", SECRET=self.secret))
        server = Server(["nginx", "-e", place / "start.log", "-c", configuration], port, place / "stderr.log")
        server.access_log = place / "access.log"
        server.logging_port = logging_port
        client.await_answer(server)
        return server

    def fastapi(self, database):
        """fastapi/shop.py on uvicorn, with the accounts in this file."""
        python = self.settings.python
        if not python:
            raise client.Failure("there is no FastAPI: BENCH_PYTHON names no Python that has it")
        place, port = self.place("fastapi"), free_port()
        server = Server(
            [python, "-B", "-m", "uvicorn", "shop:app", "--app-dir", BENCHMARKS / "fastapi", "--host", "127.0.0.1",
             "--port", str(port), "--workers", str(self.settings.workers), "--loop", "uvloop", "--http", "httptools",
             "--log-level", "warning", "--no-access-log"],
            port, place / "stderr.log", {"SHOP_SECRET": self.secret, "SHOP_DATABASE": str(database)})
        client.await_answer(server, seconds=30)
        return server

    def bulkhead(self, plugins="", level="warning"):
        """Bulkhead with these [plugin …] sections, in a state directory of its own. Its log is `server.errors`."""
        place = self.place("bulkhead")
        port = free_port()
        text = fill(
            (BENCHMARKS / "bulkhead/bench.conf.in").read_text(), DIR=place / "state", PORT=port,
            WORKERS=self.settings.workers, LEVEL=level, PLUGINS=self.settings.release)
        return self.run(place, text + "\n" + plugins, port)

    def chain(self, cache):
        """Bulkhead with the chain; `cache`: how many verified tokens AuthPlugin keeps."""
        sections = (BENCHMARKS / "bulkhead/chain.conf.in").read_text()
        return self.bulkhead(fill(sections, SECRET=self.secret, CACHE=cache))

    def shipped(self, **replaced):
        """The configuration that is shipped, moved here; returns its directory, its text and its port."""
        place = self.place("shipped")
        port = free_port()
        changes = {
            "listen": f"127.0.0.1:{port}", "plugin-path": self.settings.release, "state-dir": place / "state",
            "threads": self.settings.workers, "log-level": "warning", **replaced,
        }
        text = (ROOT / "plugins.conf").read_text()
        for key, value in changes.items():
            text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, count=1, flags=re.MULTILINE)
            if count != 1:
                raise client.Failure(f"plugins.conf has no line for {key}")
        return place, text, port

    def run(self, place, text, port):
        """Bulkhead with this configuration, once it answers; `server.start_seconds` says how long that took."""
        configuration = place / "plugins.conf"
        configuration.write_text(text)
        command = [self.settings.release / "bulkhead", "run", "--config", configuration]
        # Not beside the configuration, whose directory the host watches.
        server = Server(command, port, self.place("log") / "stderr.log")
        server.configuration = configuration
        server.start_seconds = client.await_answer(server)
        return server
