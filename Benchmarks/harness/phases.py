"""What a plugin's phase costs beyond its own work: a route with and without middleware that does nothing."""

import statistics

from load import Target, microseconds
from settings import ROOT

# With both phases of each, and the route, still within the timeline that the host keeps of a request.
COUNT = 12


def measure(workshop, report):
    report.attempt("a phase", lambda: _measure(workshop, report))


def _measure(workshop, report):
    library = workshop.compile(
        "phase/phase.c", "libPhase.so", "-shared", "-fPIC", "-fvisibility=hidden", "-I", ROOT / "Sources/PluginABI/include")
    route = _section("route", "BenchPlugin", "protected", mount="/bench")
    without = workshop.bulkhead(route)
    in_c = workshop.bulkhead(
        "".join(_section(f"phase-{index}", library, "public") for index in range(COUNT)) + route)
    in_swift = workshop.bulkhead(
        "".join(
            _section(f"phase-{index}", "BenchPlugin", "public", mount=f"/{index}") for index in range(COUNT)) + route)
    for name, server in (("C", in_c), ("Swift", in_swift)):
        plain, cost = _difference(without, server, workshop.settings)
        report.row(
            f"a phase of a plugin in {name} that does nothing", f"{cost:.0f} ns", "",
            f"{COUNT * 2} phases beside none ({plain:.2f} µs a request)", "≤ 100 ns", cost <= 100)
    for server in (without, in_c, in_swift):
        server.stop()


def _difference(without, other, settings):
    """Microseconds of a request without phases, and nanoseconds that a phase adds. Pipelined: less of it is the kernel's."""
    plain, costs = [], []
    for number in range(settings.rounds + 1):
        order = [without, other] if number % 2 else [other, without]
        spent = {
            server.pid: microseconds(Target(server, "/bench/ping", "pipeline.lua"), settings) for server in order
        }
        plain.append(spent[without.pid])
        costs.append((spent[other.pid] - spent[without.pid]) * 1000 / (COUNT * 2))
    return statistics.median(plain[1:]), statistics.median(costs[1:])


def _section(name, library, scope, mount=None):
    lines = [f"[plugin {name}]", f"library = {library}", f"applies-to = {scope}"]
    if mount:
        lines.append(f"mount = {mount}")
    return "\n".join(lines) + "\n\n"
