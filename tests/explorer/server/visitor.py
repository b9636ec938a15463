"""A visitor who speaks plain HTTP, well or badly."""

import contextlib
import http.client
import json
import secrets
import time
from urllib.parse import urlsplit

PATIENCE = 120  # seconds for what must come at once; only a test that fails waits for them


class Visitor:
    """Of an app at a URL, with a session of its own."""

    def __init__(self, url):
        self.host = urlsplit(url).netloc
        self.session = secrets.token_hex(8)

    def ask(self, method, path, body=None, headers=None):
        """(status, answer) of a request; the path is sent as it is. body: bytes, or what becomes JSON."""
        if body is not None and not isinstance(body, bytes):
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})}
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")

    def get(self, path):
        return self.ask("GET", path)

    def post(self, path, body, headers=None):
        return self.ask("POST", f"/gradio_api/{path}", body, headers)

    def join(self, number, data):
        """Post an event: (status, what was said, or the id of the event)."""
        status, said = self.post("queue/join", {"data": data, "fn_index": number, "session_hash": self.session})
        said = json.loads(said)
        return status, said.get("event_id") or said.get("detail")

    def upload(self, name, content):
        """(status, answer) of an upload."""
        head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        headers = {"Content-Type": "multipart/form-data; boundary=edge"}
        return self.post("upload", head + content + b"\r\n--edge--\r\n", headers)

    @contextlib.contextmanager
    def stream(self, path=None):
        """A connection that lasts, by default the one on which answers come; its lines, as they come."""
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", path or f"/gradio_api/queue/data?session_hash={self.session}")
            with contextlib.closing(connection.getresponse()) as lines:
                yield lines

    def heartbeat(self):
        """The connection by which a page says that it is open."""
        return self.stream(f"/gradio_api/heartbeat/{self.session}")

    def call(self, number, data):
        """What an event answers: the last message of it."""
        status, event = self.join(number, data)
        assert status == 200, event
        with self.stream() as lines:
            return completed(lines, event)


def completed(lines, event):
    """The message that ends an event, from a stream."""
    came = []
    for line in lines:
        came.append(line)
        message = json.loads(line.removeprefix(b"data:")) if line.startswith(b"data:") else {}
        if message.get("event_id") == event and message["msg"] == "process_completed":
            return message
    raise AssertionError(f"the stream has ended before the answer: {came}")


def function(demo, name, output=None):
    """The number of a function of the page, and of how many values."""
    for number, fn in demo.fns.items():
        if fn.name == name and (output is None or any(block.elem_id == output for block in fn.outputs)):
            return number, [getattr(block, "label", None) for block in fn.inputs]
    raise LookupError(name)


def until(condition):
    """Wait for what must become true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.01)
