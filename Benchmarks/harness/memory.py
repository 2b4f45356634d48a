"""Memory: of an idle host, and of idle connections."""

import resource
import time

import client
from client import Failure
from processes import family, memory

MIB = 1 << 20
WANTED = 10_000


def measure(workshop, report):
    report.attempt("memory of an idle host", lambda: _idle_hosts(workshop, report))
    report.attempt("memory of idle connections", lambda: _idle_connections(workshop, report))


def _idle_hosts(workshop, report):
    starts = (
        ("idle host, shipped plugins.conf", lambda: workshop.run(*workshop.shipped())),
        ("idle host, no plugins", workshop.bulkhead),
    )
    # One after the other: two would share the pages of the same libraries, and each look smaller than it is.
    for what, start in starts:
        server = start()
        # What starting leaves to be done, such as the first heartbeat, is done.
        # After a second without a request it counts as idle, and lets go of what only its start needed.
        time.sleep(4)
        pss, rss = memory(server.pid, "Pss"), memory(server.pid, "Rss")
        server.stop()
        report.row(
            f"{what}: supervisor and worker", f"{pss / MIB:.1f} MiB PSS", "", f"{rss / MIB:.1f} MiB RSS", "< 15 MiB PSS",
            pss < 15 * MIB)


def _idle_connections(workshop, report):
    count = min(WANTED, _raise_limit() - 500)
    ours = workshop.bulkhead()
    nginx = workshop.nginx()
    bytes_each, their_bytes_each = (_bytes_each(server, count) for server in (ours, nginx))
    fewer = "" if count == WANTED else f" (this system's limit; {WANTED} were wanted)"
    report.row(
        f"{count} idle keep-alive connections{fewer}: RSS each", f"{bytes_each} B", f"nginx {their_bytes_each} B", "",
        "< 2048 B", bytes_each < 2048)
    ours.stop()
    nginx.stop()


def _raise_limit():
    """Raises the limit of open files as far as may be. The servers inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (65536, 32768, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, hard)))
            return limit
        except (ValueError, OSError):
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _bytes_each(server, count):
    """What each connection that has served a request, and is kept, adds to the memory of the server's processes."""
    held = []
    try:
        # What the first requests fault in is no connection's.
        for _ in range(64):
            held.append(_serve_once(server.port))
        before = memory(server.pid, "Rss")
        for _ in range(count):
            held.append(_serve_once(server.port))
        grown = memory(server.pid, "Rss") - before
        for connection in held[:: max(1, count // 100)]:
            if connection.send("/health")[0] != 200:
                raise Failure("a connection was not kept")
        return grown // count
    finally:
        for connection in held:
            connection.close()


def _serve_once(port):
    connection = client.Connection(port)
    status, _, _ = connection.send("/health")
    if status != 200:
        raise Failure(f"/health answers {status}")
    return connection
