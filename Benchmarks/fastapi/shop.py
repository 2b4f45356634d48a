"""Three of the shop's requests in FastAPI, written for speed: no thread pool, no model of the answer, nothing logged.

From the environment: SHOP_SECRET, of the tokens; SHOP_DATABASE, an SQLite file with the table `accounts`.
"""

import os
import sqlite3

import jwt
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from slowapi import Limiter
from slowapi.util import get_remote_address

SECRET = os.environ["SHOP_SECRET"]
# Never reached, and always counted; each worker counts for itself.
LIMIT = "6000000/minute"

limiter = Limiter(key_func=get_remote_address, headers_enabled=True)
app = FastAPI(openapi_url=None)
app.state.limiter = limiter
app.add_middleware(
    CORSMiddleware, allow_origins=["https://velro.ai", "http://localhost:3000"], allow_credentials=True,
    allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
    allow_headers=["Authorization", "Content-Type", "X-Request-Id", "Idempotency-Key"],
    expose_headers=["X-Request-Id", "RateLimit", "RateLimit-Policy", "Retry-After"])
database = sqlite3.connect(os.environ["SHOP_DATABASE"], check_same_thread=False)


async def identity(request: Request):
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise jwt.InvalidTokenError
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"verify_aud": False})
    except jwt.InvalidTokenError:
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"}) from None
    # What is counted by identity finds it here.
    request.state.subject = claims["sub"]
    return claims["sub"]


def by_identity(request: Request):
    return request.state.subject


@app.get("/health")
async def health():
    return JSONResponse({"status": "ok"})


@app.get("/me")
async def me(subject: str = Depends(identity)):
    return JSONResponse({"status": "ok", "subject": subject})


@app.get("/ping")
@limiter.limit(LIMIT)
async def ping(request: Request):
    return JSONResponse({"status": "ok"})


@app.get("/api/v1/credits/balance")
@limiter.limit(LIMIT, key_func=by_identity)
async def balance(request: Request, subject: str = Depends(identity)):
    row = database.execute(
        "SELECT balance, earned, spent, reserved FROM accounts WHERE user_id = ?", (subject,)).fetchone()
    if row is None:
        raise HTTPException(404)
    return JSONResponse(dict(zip(("current_balance", "total_earned", "total_spent", "reserved"), row)))
