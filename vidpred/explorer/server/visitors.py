"""Who is there: what Gradio keeps of a visitor ends a while after the last connection, and what nobody listens for is
never begun.

All of it runs in the server's event loop, one thing after the other. Gradio's queue and its states of sessions are
reached into here and nowhere else.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MOST_VISITORS = 250  # at once; a page's widgets, as a visitor has set them, take 0.4 MB
MOST_VISITORS_OF_ADDRESS = 200
SECONDS_KEPT = 300.0  # of what a visitor has here, after the last connection: a phone may have changed networks
SECONDS_UNHEARD = 20.0  # that events wait for someone who listens to their answers
TICKS = 10
MOST_WAITING = 64  # events in the queue, of all visitors
MOST_OF_ONE = 24  # of one visitor: a page that opens asks for a dozen things
MOST_OF_MODEL = 6  # of these, for the model
MOST_OF_ADDRESS = 48


@dataclass
class Visitor:
    """Connections that are open: any, and those on which answers are listened to."""

    address: str = ""
    connections: int = 0
    streams: int = 0
    leaving: asyncio.TimerHandle | None = None
    unheard: asyncio.TimerHandle | None = None


class Visitors:
    """Those who are there, by Gradio's names of their sessions."""

    def __init__(self, app: Any, seconds: float = SECONDS_KEPT, unheard: float = SECONDS_UNHEARD):
        self._app, self._seconds, self._unheard = app, seconds, unheard
        self._visitors: dict[str, Visitor] = {}
        self._tasks: set[asyncio.Task] = set()

    def __len__(self) -> int:
        return len(self._visitors)

    def seen(self, session: str, address: str) -> bool:
        """Someone asks in the name of a session; False where it is new and there are too many. One without a
        connection makes room for it, the one that has been away longest; of its own address where that has too many."""
        if session not in self._visitors:
            alike = {name: visitor for name, visitor in self._visitors.items() if visitor.address == address}
            many = len(alike) >= MOST_VISITORS_OF_ADDRESS
            if many or len(self._visitors) >= MOST_VISITORS:
                among = alike if many else self._visitors
                away = next((name for name, visitor in among.items() if not visitor.connections), None)
                if away is None:
                    return False
                self._forget(away)
            self._visitors[session] = Visitor(address)
        self._stay(session)
        return True

    def connected(self, session: str, listens: bool) -> None:
        """A connection has been opened in the name of a session that was seen."""
        visitor = self._visitors[session]
        visitor.connections += 1
        visitor.streams += listens
        self._stay(session)
        if listens and visitor.unheard:
            visitor.unheard.cancel()
            visitor.unheard = None

    def disconnected(self, session: str, listened: bool, for_good: bool = False) -> None:
        """It has been closed. for_good: the session was for this one answer."""
        visitor = self._visitors[session]
        visitor.connections -= 1
        visitor.streams -= listened
        if for_good and not visitor.connections:
            self._forget(session)
            return
        self._stay(session)
        if listened and self._queue.pending_event_ids_session.get(session):
            self.expects(session)

    def expects(self, session: str) -> None:
        """Events of this session wait: unless someone listens soon, they are dropped."""
        visitor = self._visitors.get(session)
        if visitor and not visitor.streams and not visitor.unheard:
            visitor.unheard = later(self._unheard / TICKS, self._drop_unheard, session, TICKS - 1)

    def refusal(self, session: str, address: str, fn: Any) -> str | None:
        """Why an event of this session may not wait in the queue."""
        queue = self._queue
        waiting = [event for each in queue.event_queue_per_concurrency_id.values() for event in each.queue]
        if len(waiting) >= MOST_WAITING:
            return f"{MOST_WAITING} requests are waiting already: please try again in a minute"
        mine = [event for event in waiting if event.session_hash == session]
        of_model = [event for event in mine if event.concurrency_id == fn.concurrency_id == "model"]
        for found, most in ((of_model, MOST_OF_MODEL), (mine, MOST_OF_ONE)):
            if len(found) >= most:
                return f"{len(found)} of your requests are waiting already: please let them end first"
        if sum(address_of(event.request.scope) == address for event in waiting) >= MOST_OF_ADDRESS:
            return f"{MOST_OF_ADDRESS} requests from your network are waiting already: please try again in a minute"
        return None

    @property
    def _queue(self) -> Any:
        return self._app.get_blocks()._queue

    def _stay(self, session: str) -> None:
        """While there is a connection, and for a while after the last sign of life."""
        visitor = self._visitors[session]
        if visitor.leaving:
            visitor.leaving.cancel()
            visitor.leaving = None
        if not visitor.connections:
            self._visitors[session] = self._visitors.pop(session)  # the last in the order
            visitor.leaving = later(self._seconds, self._forget, session)

    def _drop_unheard(self, session: str, ticks: int) -> None:
        """After so many more ticks: while the loop stood still, for a model that was loaded, nobody could connect."""
        visitor = self._visitors[session]
        if ticks:
            visitor.unheard = later(self._unheard / TICKS, self._drop_unheard, session, ticks - 1)
            return
        visitor.unheard = None
        self._clean(session)

    def _forget(self, session: str) -> None:
        """Delete what is kept of a visitor: its state, with all that goes with it, and its events."""
        visitor = self._visitors.pop(session)
        for timer in (visitor.leaving, visitor.unheard):
            if timer:
                timer.cancel()
        holder = self._app.state_holder
        holder.delete_state(session)
        holder.session_data.pop(session, None)
        holder.time_last_used.pop(session, None)
        self._clean(session)

    def _clean(self, session: str) -> None:
        """Take a session's events out of the queue; one that runs learns that nobody waits for it."""

        async def clean() -> None:
            queue = self._queue
            await queue.clean_events(session_hash=session)
            if not self._visitors.get(session, Visitor()).streams:
                queue.pending_messages_per_session.pop(session, None)
                queue.pending_event_ids_session.pop(session, None)

        task = asyncio.get_running_loop().create_task(clean())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def address_of(scope: dict) -> str:
    """Of the host that a request comes from."""
    return (scope.get("client") or ("",))[0]


def later(seconds: float, function: Callable, *args: Any) -> asyncio.TimerHandle:
    """Call a function in a while, in the loop that runs."""
    return asyncio.get_running_loop().call_later(seconds, function, *args)
