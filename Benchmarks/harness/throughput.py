"""CPU time per request, beside nginx: health, pipelined, logged, and the whole chain."""

import dataclasses
import json

import client
import tokens
from client import Failure
from load import Target, compare

ORIGIN = "Origin: https://velro.ai"
# More than AuthPlugin's smallest cache has places (64), so that with it each token is verified anew.
USERS = 2000


def measure(workshop, report):
    nginx = workshop.nginx()
    report.attempt("`/health`", lambda: _health(workshop, nginx, report))
    report.attempt("`/health` with access logs", lambda: _logged(workshop, nginx, report))
    report.attempt("chain", lambda: _chain(workshop, nginx, report))
    nginx.stop()


def _health(workshop, nginx, report):
    ours = workshop.bulkhead()
    floor = workshop.floor(_same_body(ours, nginx))
    # Nearly all of it is the kernel's wake-ups, which vary most from run to run.
    settings = dataclasses.replace(workshop.settings, rounds=workshop.settings.rounds * 2)
    report.comparison(
        "CPU time per request: `/health`, beside `return 200`",
        compare(Target(ours, "/health"), Target(nginx, "/health"), settings), 0.85)
    report.comparison(
        "the same, pipelined 16 deep",
        compare(
            Target(ours, "/health", "pipeline.lua"), Target(nginx, "/health", "pipeline.lua"), workshop.settings),
        0.20)
    ours.stop()
    report.comparison(
        "`/health`, the least that can be: epoll, recv and send alone (`floor.c`)",
        compare(Target(floor, "/health"), Target(nginx, "/health"), settings))
    floor.stop()


def _same_body(ours, nginx):
    lengths = []
    for server in (ours, nginx):
        status, _, body = client.get(server.port, "/health")
        if status != 200:
            raise Failure(f"/health answers {status}")
        lengths.append(len(body))
    if lengths[0] != lengths[1]:
        raise Failure(f"the bodies of /health differ in length: {lengths}")
    return lengths[0]


def _logged(workshop, nginx, report):
    ours = workshop.bulkhead(level="info")
    comparison = compare(
        Target(ours, "/health"), Target(nginx, "/health", port=nginx.logging_port), workshop.settings)
    for file in (ours.errors, nginx.access_log):
        if file.stat().st_size < 1 << 20:
            raise Failure(f"{file.name} is too small to be the log of these requests")
    report.comparison("`/health`, both with their access log in a file", comparison)
    ours.stop()
    # nginx has the file open: what it holds is given back.
    with open(nginx.access_log, "wb"):
        pass


def _chain(workshop, nginx, report):
    file = workshop.directory / "tokens"
    load = ("tokens.lua", (str(file),))
    registered = None
    for cache, path, what in (
        (16384, "/chain/me", "chain (CORS, JWT, rate limit, route), Bulkhead as shipped: it keeps verified tokens"),
        (16384, "/cached/me", "chain, both keep verified tokens"),
        (0, "/chain/me", "chain, both verify the token of every request"),
    ):
        ours = workshop.chain(cache)
        if registered is None:
            registered = tokens.register(ours)
            others = tokens.of_other_users(registered, USERS - 1, workshop.secret)
            file.write_text("".join(token + "\n" for token in (registered, *others)))
        for token in (registered, others[-1]):
            _check(ours, "/chain/me", token)
            _check(nginx, path, token)
        report.comparison(
            what, compare(Target(ours, "/chain/me", *load), Target(nginx, path, *load), workshop.settings), 0.33)
        ours.stop()


def _check(server, path, token):
    """A server must do the work that it is measured by: CORS, a limit, the subject; and no forged token gets in."""
    status, headers, body = client.get(server.port, path, [ORIGIN, f"Authorization: Bearer {token}"])
    if status != 200 or json.loads(body).get("subject") != tokens.subject(token):
        raise Failure(f"{path} answers {status}: {body.decode(errors='replace')}")
    if headers.get("access-control-allow-origin") != "https://velro.ai":
        raise Failure(f"{path} lacks CORS")
    if "r=" not in headers.get("ratelimit", ""):
        raise Failure(f"{path} lacks the rate limit")
    for refused in ([ORIGIN], [ORIGIN, f"Authorization: Bearer {tokens.forged(token)}"]):
        status, headers, _ = client.get(server.port, path, refused)
        if status != 401:
            raise Failure(f"{path} answers {status} without a good token")
        if headers.get("access-control-allow-origin") != "https://velro.ai":
            raise Failure(f"{path} refuses without CORS")
