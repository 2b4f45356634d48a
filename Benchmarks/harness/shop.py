"""CPU time per request of the shop's own work, beside the same in FastAPI on uvicorn."""

import json
import sqlite3

import client
import tokens
from client import Failure
from load import Target, compare
from servers import fill
from settings import BENCHMARKS
from throughput import ORIGIN, USERS

BALANCE = "/api/v1/credits/balance"


def measure(workshop, report):
    report.attempt("the shop beside FastAPI", lambda: _measure(workshop, report))


def _measure(workshop, report):
    # The shop's own configuration: its signature secret is known here, and its limits are never reached.
    ours = _shop(workshop)
    registered = tokens.register(ours)
    issued = [registered, *tokens.of_other_users(registered, USERS - 1, workshop.secret)]
    file = workshop.directory / "shop-tokens"
    file.write_text("".join(token + "\n" for token in issued))
    load = ("tokens.lua", (str(file),))
    with client.Connection(ours.port) as connection:
        for token in issued:
            status, _, body = connection.send(BALANCE, headers=_headers(token))
            if status != 200:
                raise Failure(f"{BALANCE} answers {status}: {body.decode(errors='replace')}")
    theirs = workshop.fastapi(_accounts(workshop, [tokens.subject(token) for token in issued], json.loads(body)))
    for server in (ours, theirs):
        _check_balance(server, registered)
    _compare(report, workshop, "credits/balance (CORS, JWT, rate limit, SQLite)",
             Target(ours, BALANCE, *load), Target(theirs, BALANCE, *load))
    ours.stop()

    chain = (BENCHMARKS / "bulkhead/chain.conf.in").read_text()
    for cache, what in ((16384, "JWT-verified ping, Bulkhead as shipped"), (0, "JWT-verified ping, each token verified")):
        ours = workshop.bulkhead(_without("ratelimit", fill(chain, SECRET=workshop.secret, CACHE=cache)))
        _check_subject(ours, "/chain/me", registered)
        _check_subject(theirs, "/me", registered)
        _compare(report, workshop, what, Target(ours, "/chain/me", *load), Target(theirs, "/me", *load))
        ours.stop()

    ours = workshop.bulkhead(_without("auth", chain).replace("by identity", "by address"))
    for server, path in ((ours, "/chain/ping"), (theirs, "/ping")):
        status, headers, _ = client.get(server.port, path, [ORIGIN])
        if status != 200 or not {"ratelimit", "x-ratelimit-remaining"} & headers.keys():
            raise Failure(f"{path} answers {status}, or without a rate limit")
    _compare(report, workshop, "rate-limited ping", Target(ours, "/chain/ping"), Target(theirs, "/ping"))
    ours.stop()
    theirs.stop()


def _shop(workshop):
    place, text, port = workshop.shipped(limit="6000000/1m burst 1000000 by identity name api")
    auth = "[plugin auth]\n"
    if auth not in text:
        raise Failure("plugins.conf has no plugin auth")
    return workshop.run(place, text.replace(auth, f"{auth}secret = {workshop.secret}\n"), port)


def _without(name, sections):
    """The configuration without a plugin's section."""
    kept = [part for part in sections.split("\n[") if not part.lstrip("[").startswith(f"plugin {name}]")]
    return "\n[".join(kept)


def _accounts(workshop, subjects, account):
    """A database for the other side, with the same accounts."""
    path = workshop.place("accounts") / "accounts.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(
            "CREATE TABLE accounts (user_id TEXT PRIMARY KEY, balance INTEGER, earned INTEGER, spent INTEGER, "
            "reserved INTEGER) WITHOUT ROWID")
        values = [account[key] for key in ("current_balance", "total_earned", "total_spent", "reserved")]
        database.executemany("INSERT INTO accounts VALUES (?, ?, ?, ?, ?)", [(who, *values) for who in subjects])
    database.close()
    return path


def _headers(token):
    return [ORIGIN, f"Authorization: Bearer {token}"]


def _check_balance(server, token):
    status, headers, body = client.get(server.port, BALANCE, _headers(token))
    if status != 200 or json.loads(body)["current_balance"] != 100:
        raise Failure(f"{BALANCE} answers {status}: {body.decode(errors='replace')}")
    if headers.get("access-control-allow-origin") != "https://velro.ai":
        raise Failure(f"{BALANCE} lacks CORS")
    _refuses(server, BALANCE, token)


def _check_subject(server, path, token):
    status, _, body = client.get(server.port, path, _headers(token))
    if status != 200 or json.loads(body)["subject"] != tokens.subject(token):
        raise Failure(f"{path} answers {status}: {body.decode(errors='replace')}")
    _refuses(server, path, token)


def _refuses(server, path, token):
    status, _, _ = client.get(server.port, path, _headers(tokens.forged(token)))
    if status != 401:
        raise Failure(f"{path} answers {status} to a forged token")


def _compare(report, workshop, what, ours, theirs):
    report.comparison(f"{what}, beside FastAPI", compare(ours, theirs, workshop.settings), other="FastAPI")
