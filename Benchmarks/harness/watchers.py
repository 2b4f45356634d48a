"""What watching costs those who are served: event streams held open, and metrics scraped."""

import contextlib
import socket
import threading

import client
from client import Failure
from load import Target, compare

STREAMS = 50


def measure(workshop, report):
    report.attempt("watchers", lambda: _measure(workshop, report))


def _measure(workshop, report):
    # Two hosts alike, of which one is watched.
    watched, alone = workshop.bulkhead(), workshop.bulkhead()
    with Watchers(watched.port) as watchers:
        comparison = compare(Target(watched, "/health"), Target(alone, "/health"), workshop.settings)
        if watchers.open_streams() != STREAMS or watchers.scrapes == 0:
            raise Failure(f"{watchers.open_streams()} of {STREAMS} streams are left, {watchers.scrapes} scrapes were made")
    report.comparison(
        f"`/health` while {STREAMS} event streams are open and metrics are scraped each second, beside the same host unwatched",
        comparison, 1.05, other="unwatched")
    watched.stop()
    alone.stop()


class Watchers:
    """Reads the streams, and scrapes, on a thread of its own."""

    def __init__(self, port):
        self.scrapes = 0
        self._port = port
        self._stopped = threading.Event()
        self._streams = []

    def __enter__(self):
        for _ in range(STREAMS):
            stream = socket.create_connection(("127.0.0.1", self._port), timeout=5)
            stream.sendall(b"GET /__diag/events HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n")
            head = stream.recv(65536)
            if not head.startswith(b"HTTP/1.1 200 "):
                raise Failure(f"/__diag/events answers {head[:60]!r}")
            stream.setblocking(False)
            self._streams.append(stream)
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self._thread.join()
        for stream in self._streams:
            stream.close()

    def open_streams(self):
        return len(self._streams)

    def _watch(self):
        while not self._stopped.wait(1):
            status, _, _ = client.get(self._port, "/metrics")
            self.scrapes += status == 200
            for stream in list(self._streams):
                with contextlib.suppress(BlockingIOError):
                    while True:
                        if not stream.recv(1 << 20):
                            self._streams.remove(stream)
                            break
