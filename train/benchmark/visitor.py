"""A visitor of the app who speaks plain HTTP, well or badly."""

import contextlib
import http.client
import json
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 120  # seconds without a word from the server
EDGE = "edge-of-a-part"


class Visitor:
    """Of an app at a URL, with a session of its own. address: where they come from, if not from where any would."""

    def __init__(self, url: str, address: str = ""):
        self.host = urlsplit(url).netloc
        self._source = (address, 0) if address else None
        self.session = secrets.token_hex(8)

    def ask(self, method: str, path: str, body: Any = None, headers: dict | None = None) -> tuple[int, bytes]:
        """(status, answer) of a request; the path is sent as it is. body: bytes, or what becomes JSON."""
        if body is not None and not isinstance(body, bytes):
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})}
        with contextlib.closing(self._connection()) as connection:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, timeout=PATIENCE, source_address=self._source)

    def get(self, path: str) -> tuple[int, bytes]:
        return self.ask("GET", path)

    def post(self, path: str, body: Any, headers: dict | None = None) -> tuple[int, bytes]:
        return self.ask("POST", f"/gradio_api/{path}", body, headers)

    def join(self, number: int, data: list) -> tuple[int, str]:
        """Have a function of the page answer: (status, the id of the event, or why there is none)."""
        status, said = self.post("queue/join", {"data": data, "fn_index": number, "session_hash": self.session})
        said = json.loads(said)
        return status, said.get("event_id") or said.get("detail")

    def upload(self, name: str, content: bytes) -> tuple[int, bytes]:
        """(status, answer) of an upload."""
        head = f'--{EDGE}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={EDGE}"}
        return self.post("upload", head + content + f"\r\n--{EDGE}--\r\n".encode(), headers)

    @contextlib.contextmanager
    def stream(self, path: str | None = None) -> Iterator[http.client.HTTPResponse]:
        """A connection that lasts, by default the one on which answers come; its lines, as they come."""
        with contextlib.closing(self._connection()) as connection:
            connection.request("GET", path or f"/gradio_api/queue/data?session_hash={self.session}")
            with contextlib.closing(connection.getresponse()) as lines:
                yield lines

    def heartbeat(self) -> contextlib.AbstractContextManager[http.client.HTTPResponse]:
        """The connection by which a page says that it is open."""
        return self.stream(f"/gradio_api/heartbeat/{self.session}")

    def call(self, number: int, data: list) -> dict:
        """What a function of the page answers: the message that ends the event, or {"refused": why}."""
        status, event = self.join(number, data)
        if status != http.HTTPStatus.OK:
            return {"refused": event}
        with self.stream() as lines:
            return completed(lines, event)


def completed(lines: http.client.HTTPResponse, event: str) -> dict:
    """The message that ends an event; EOFError where the stream ends before."""
    for line in lines:
        message = json.loads(line.removeprefix(b"data:")) if line.startswith(b"data:") else {}
        if message.get("event_id") == event and message["msg"] == "process_completed":
            return message
    raise EOFError("the stream ended before the answer")
