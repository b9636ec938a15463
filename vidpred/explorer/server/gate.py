"""What every request passes before Gradio sees it: Gradio checks little of it, answers bad ones with what was sent, and
writes tracebacks of them."""

import inspect
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi.responses import JSONResponse, PlainTextResponse

from vidpred.explorer.server.storage import storage
from vidpred.explorer.server.uploads import Uploads
from vidpred.explorer.server.visitors import Visitors, address_of, later

MOST_BYTES = 128 * 2**10  # of a request that is no upload
MOST_DRAINED = 256 * 2**20  # of a request that is refused
MOST_UPLOADED = 100 * 2**20  # bytes of one upload
API = "/gradio_api/"
# The pages that ours needs. Gradio has more: it would film the screen, fetch other hosts' files, write code.
OPEN = re.compile(
    "/|/(config|theme.css|favicon.ico|manifest.json|robots.txt)/?|/(assets|static)/.*|/pwa_icon(/[0-9]+)?|"
    f"{API}((info|openapi.json|theme.css|app_id|user|login_check|startup-events|queue/(join|data|status)|upload|"
    "upload_progress|cancel|reset|component_server)/?|(heartbeat|run|api)/[^/]+/?|call/(v2/)?[^/]+(/[^/]+)?|file=.*)"
)
HEARTBEAT, CALL = re.compile(f"{API}heartbeat/([^/]+)/?"), re.compile(f"{API}call/(?:v2/)?([^/]+)(?:/([^/]+))?")
SESSION = re.compile("[A-Za-z0-9_-]{1,64}")
QUEUED = re.compile(f"{API}(queue/join|run/[^/]+|api/[^/]+)/?")
RANGE = b"range"  # a part of a file Gradio answers under all headers of the request, a type and a cookie of choice too
LONGEST = 80  # letters of an address in the log
# As Gradio says it: a page that was open while the server was started again knows what to do.
NO_SESSION = 'data: {"msg":"unexpected_error","message":"Not found","success":false,"session_not_found":true}\n\n'
UNREADABLE = "This is no request that the app can read"
GONE = "This file is no longer here: please hand it in again"
log = logging.getLogger(__name__)


class Refused(Exception):
    """A status code and one line for whoever asked."""

    def __init__(self, code: int, line: str):
        super().__init__(line)
        self.code, self.line = code, line


class Gate:
    """ASGI middleware inside Gradio's app."""

    def __init__(self, app: Callable, **seconds: float):
        """seconds: of Visitors, other than by default."""
        self._app, self._seconds = app, seconds
        self._visitors: Visitors | None = None
        self._uploads = Uploads(later)

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._visitors is None:
            self._visitors = Visitors(scope["app"], **self._seconds)
        begun, came, left = False, scope["method"] != "POST", MOST_DRAINED

        async def sending(message: dict) -> None:
            nonlocal begun
            begun = True
            await send(message)

        async def receiving() -> dict:
            nonlocal came
            message = await receive()
            came = not message.get("more_body", False)
            return message

        try:
            await self._pass(scope, receiving, sending)
        except Refused as refused:
            while not came and left > 0:  # a browser that could not send to the end would not read the answer
                left -= len((await receiving()).get("body", b""))
            await JSONResponse({"detail": refused.line}, refused.code)(scope, receive, sending)
        except Exception as error:
            # what it says may hold what was sent, or where things lie here
            log.error("%r: %s in %s", route(scope)[:LONGEST], type(error).__name__, _place(error))
            if begun:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await JSONResponse({"detail": UNREADABLE}, 500)(scope, receive, sending)

    async def _pass(self, scope: dict, receive: Callable, send: Callable) -> None:
        path = route(scope)
        if not OPEN.fullmatch(path):
            raise Refused(404, "Not found")
        if path.startswith(f"{API}file="):
            if not _served(path.removeprefix(f"{API}file=")):
                raise Refused(403, "There is no such file here")
            scope = {**scope, "headers": [header for header in scope["headers"] if header[0] != RANGE]}
        if path.rstrip("/") == f"{API}upload":
            await self._upload(scope, receive, send)
        elif scope["method"] == "POST":
            await self._post(path, scope, receive, send)
        else:
            await self._get(path, scope, receive, send)

    async def _get(self, path: str, scope: dict, receive: Callable, send: Callable) -> None:
        """Those that last are connections of a visitor."""
        call = CALL.fullmatch(path)
        if found := HEARTBEAT.fullmatch(path):
            session = found[1]
        elif path.rstrip("/") == f"{API}queue/data":
            session = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
        elif call and call[2]:
            session = call[2]
        else:
            await self._app(scope, receive, send)
            return
        listens = found is None
        if listens and session not in scope["app"].get_blocks()._queue.pending_messages_per_session:
            if call:
                raise Refused(404, "There is no such event here")
            await PlainTextResponse(NO_SESSION, media_type="text/event-stream")(scope, receive, send)
            return
        self._admit(session, scope)
        self._visitors.connected(session, listens)
        try:
            await self._app(scope, receive, send)
        finally:
            self._visitors.disconnected(session, listens, for_good=call is not None)

    async def _post(self, path: str, scope: dict, receive: Callable, send: Callable) -> None:
        """What a page or a program asks for."""
        body = await _read(scope, receive)
        blocks, call = scope["app"].get_blocks(), CALL.fullmatch(path)
        given = _parsed(body)
        fn, session = None, given.get("session_hash")
        if QUEUED.fullmatch(path):
            fn = _function(blocks, given)
        elif call:
            fn = _public(blocks, call[1], given, named="/v2/" in path)
        elif path.startswith(f"{API}component_server"):
            _require_component(blocks, given)
        try:
            _require_files(given)
        except RecursionError:
            raise Refused(400, UNREADABLE) from None
        if session is not None:
            self._admit(session, scope)
        queued = call or path.startswith(f"{API}queue/join")
        if queued and (line := self._visitors.refusal(session or "", address_of(scope), fn)):
            raise Refused(503 if "minute" in line else 429, line)
        answer = bytearray()

        async def noting(message: dict) -> None:
            answer.extend(message.get("body", b"") if queued else b"")
            await send(message)

        await self._app(scope, _replay(body, receive), noting)
        if queued and (event := _parsed(bytes(answer)).get("event_id")):
            session = session or event  # as Gradio calls it then
            if session == event:
                self._visitors.seen(session, address_of(scope))
            self._visitors.expects(session)

    async def _upload(self, scope: dict, receive: Callable, send: Callable) -> None:
        size, address = _declared(scope), address_of(scope)
        if size is None:
            raise Refused(411, "An upload says how long it is")
        if size > MOST_UPLOADED + MOST_BYTES:
            raise Refused(413, f"At most {MOST_UPLOADED // 2**20} MB are taken")
        if not self._uploads.admit(address, size):
            raise Refused(503, "There is no room for more files at the moment: please try again in ten minutes")
        answer = bytearray()

        async def noting(message: dict) -> None:
            answer.extend(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            files = json.loads(answer) if answer.startswith(b"[") else []
            self._uploads.ended(address, size, map(Path, files), storage().served)

    def _admit(self, session: Any, scope: dict) -> None:
        if not isinstance(session, str) or not SESSION.fullmatch(session):
            raise Refused(400, UNREADABLE)
        if not self._visitors.seen(session, address_of(scope)):
            raise Refused(503, "Too many visitors are here at the moment: please try again later")


def route(scope: dict) -> str:
    """The path, without that of a proxy in front."""
    return scope["path"].removeprefix(scope.get("root_path", "")) or "/"


def _place(error: BaseException) -> str:
    """The last place of ours, or of Gradio's, that an error has passed: no line of it shows what was sent."""
    frames = []
    trace = error.__traceback__
    while trace:
        frames.append((Path(trace.tb_frame.f_code.co_filename), trace.tb_lineno))
        trace = trace.tb_next
    file, line = next((frame for frame in reversed(frames) if "vidpred" in frame[0].parts), frames[-1])
    return f"{'/'.join(file.parts[-2:])}:{line}"


def _declared(scope: dict) -> int | None:
    """Content-Length."""
    found = dict(scope["headers"]).get(b"content-length", b"")
    return int(found) if found.isdigit() else None


async def _read(scope: dict, receive: Callable) -> bytes:
    """The body, as far as it is allowed to go."""
    if (_declared(scope) or 0) > MOST_BYTES:
        raise Refused(413, f"At most {MOST_BYTES // 2**10} kB are taken")
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, UNREADABLE)
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MOST_BYTES:
            raise Refused(413, f"At most {MOST_BYTES // 2**10} kB are taken")
    return bytes(body)


def _replay(body: bytes, receive: Callable) -> Callable:
    """What was read, to be read again; then whatever comes."""
    read = False

    async def again() -> dict:
        nonlocal read
        if read:
            return await receive()
        read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _parsed(body: bytes) -> dict:
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise Refused(400, UNREADABLE) from None
    if not isinstance(found, dict):
        raise Refused(400, UNREADABLE)
    return found


def _function(blocks: Any, given: dict) -> Any:
    """The function that an event is for; it gets as many values as it takes."""
    number, data = given.get("fn_index"), given.get("data")
    if isinstance(number, bool) or not isinstance(number, int) or number not in blocks.fns:
        raise Refused(404, "There is no such function here")
    fn = blocks.fns[number]
    if fn.fn is None or not isinstance(data, list) or len(data) != len(fn.inputs):
        raise Refused(400, UNREADABLE)
    trigger, event = given.get("trigger_id"), given.get("event_data")
    if not isinstance(trigger, int | None) or (fn.collects_event_data and not isinstance(event, dict)):
        raise Refused(400, UNREADABLE)
    for block, value in zip(fn.inputs, data):
        _require_model(getattr(block, "data_model", None), value)
    return fn


def _require_model(model: Any, value: Any) -> None:
    """What a widget sends has the form that Gradio expects of it, before Gradio looks."""
    if model is not None and value is not None:
        try:
            model.model_validate(value, context={"validate_meta": True})
        except ValueError:
            raise Refused(400, UNREADABLE) from None


def _public(blocks: Any, name: str, given: dict, named: bool) -> Any:
    """The function of the API that a program calls, its values by name or in their order."""
    fn = next((fn for fn in blocks.fns.values() if fn.api_visibility == "public" and fn.api_name == name), None)
    if fn is None:
        raise Refused(404, "There is no such function here")
    takes, data = inspect.signature(fn.fn).parameters, given.get("data")
    if named:
        fits = {name for name, one in takes.items() if one.default is one.empty} <= given.keys() <= takes.keys()
    else:
        fits = isinstance(data, list) and len(data) == len(fn.inputs)
    if not fits:
        raise Refused(400, f"{name} takes {', '.join(takes)}")
    return fn


def _require_component(blocks: Any, given: dict) -> None:
    number, name = given.get("component_id"), given.get("fn_name")
    block = blocks.blocks.get(number) if isinstance(number, int) else None
    if not isinstance(name, str) or not getattr(getattr(block, name, None), "_is_server_fn", False):
        raise Refused(404, "There is no such function here")
    if "data" not in given or given.get("session_hash") is None:
        raise Refused(400, UNREADABLE)


def _require_files(value: Any) -> None:
    """Every file that is named was uploaded, and is still there."""
    if isinstance(value, list):
        for part in value:
            _require_files(part)
    elif isinstance(value, dict):
        if "path" in value and not (isinstance(value["path"], str) and _served(value["path"])):
            raise Refused(400, GONE)
        for part in value.values():
            _require_files(part)


def _served(name: str) -> bool:
    """Whether a path is one of a file in the cache, links followed."""
    try:
        path = Path(name)
        return path.is_absolute() and path.resolve().is_relative_to(storage().served) and path.is_file()
    except (OSError, ValueError):
        return False
