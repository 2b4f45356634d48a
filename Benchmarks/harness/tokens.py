"""Access tokens for the chain: one of a user who registers, and others of the same form."""

import base64
import hashlib
import hmac
import json

import client


def register(server):
    """The access token of a new user, as AuthPlugin issues it."""
    answer = client.post_json(
        server.port, "/api/v1/auth/register",
        {"email": "bench@example.org", "password": "a long way from here to there"})
    return answer["access_token"]


def subject(token):
    """Whom the token is about."""
    return _claims(token)["sub"]


def of_other_users(token, count, secret):
    """So many tokens that differ from this one in subject, address and id alone, signed with the same secret."""
    header = token.split(".")[0]
    claims = _claims(token)
    return [_sign(header, _renamed(claims, number), secret) for number in range(count)]


def forged(token):
    """The token with another signature."""
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{'A' * 8}{signature[8:]}"


def _renamed(claims, number):
    return {**claims, **{
        name: f"{number:08x}{claims[name][8:]}" for name in ("sub", "jti", "email") if name in claims}}


def _sign(header, claims, secret):
    signed = f"{header}.{_encode(json.dumps(claims, separators=(',', ':')).encode())}"
    return f"{signed}.{_encode(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"


def _claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def _encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
