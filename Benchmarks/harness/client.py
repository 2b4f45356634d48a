"""A small HTTP/1.1 client over raw sockets: what the harness asks for besides the load."""

import json
import socket
import time


class Failure(Exception):
    """Something that makes a row worthless; its text is for the reader."""


class Connection:
    """One keep-alive connection to 127.0.0.1."""

    def __init__(self, port, timeout=5):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, path, method="GET", headers=(), body=b""):
        """Status, header fields by lower-case name, and body."""
        lines = [f"{method} {path} HTTP/1.1", "Host: bench", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return self._receive()

    def _receive(self):
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, rest = data.partition(b"\r\n\r\n")
        status, *fields = head.decode("latin-1").split("\r\n")
        headers = {}
        for field in fields:
            name, _, value = field.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        while len(rest) < length:
            rest += self._more()
        return int(status.split()[1]), headers, rest

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the connection has ended")
        return data

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def get(port, path, headers=()):
    with Connection(port) as connection:
        return connection.send(path, headers=headers)


def post_json(port, path, value):
    body = json.dumps(value).encode()
    with Connection(port) as connection:
        status, _, answer = connection.send(path, "POST", ["Content-Type: application/json"], body)
    if status // 100 != 2:
        raise Failure(f"POST {path} answers {status}: {answer.decode(errors='replace')}")
    return json.loads(answer)


def await_answer(server, path="/health", seconds=10):
    """Seconds from the server's start to its first 200."""
    deadline = server.started + seconds
    while time.perf_counter() < deadline:
        if server.process.poll() is not None:
            raise Failure(f"the server has ended: {server.complaint()}")
        try:
            if get(server.port, path)[0] == 200:
                return time.perf_counter() - server.started
        except OSError:
            time.sleep(0.0005)
    raise Failure(f"no answer within {seconds} s: {server.complaint()}")


def generation(connection):
    """The number of the generation that answers on this connection."""
    status, _, body = connection.send("/health")
    if status != 200:
        raise Failure(f"/health answers {status}")
    return json.loads(body)["generation"]
