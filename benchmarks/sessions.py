"""The client side of a dashboard session without a browser: one websocket.

Implements Streamlit's protocol: sends the values of widgets, reads messages until the script ends.
Measures a rerun from the click to its last message. Independent of the page.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

_KINDS: Final = {int: "int_value", str: "string_value", list: "string_array_value"}


@dataclass(frozen=True)
class Widget:
    """A widget as last drawn: its id, and the fragment that draws it."""

    id: str
    fragment: str


@dataclass
class Session:
    """One session on one page of a server, opened with this query string; ``pager`` is a key."""

    port: int
    page: str
    query: str
    pager: str
    widgets: dict[str, Widget] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    exceptions: int = 0
    _hash: str = ""
    _socket: Any = None

    async def open(self) -> float:
        """Connect and draw the page for the first time; return the seconds."""
        self._socket = await websockets.connect(
            f"ws://127.0.0.1:{self.port}/_stcore/stream",
            subprotocols=[websockets.Subprotocol("streamlit")],
            max_size=None,
            compression=None,
        )
        return await self.rerun()

    async def close(self) -> None:
        """Disconnect, as a closed tab does."""
        await self._socket.close()

    async def change(self, key: str, value: Any) -> float:
        """Change one widget and rerun its fragment or page; return the seconds."""
        self.values[key] = value
        return await self.rerun(self.widgets[key].fragment)

    async def rerun(self, fragment: str = "", pressed: str = "") -> float:
        """Rerun the page or one fragment, optionally by pressing a button; return the seconds."""
        request = BackMsg()
        state = request.rerun_script
        state.query_string, state.page_name = self.query, self.page
        state.page_script_hash, state.fragment_id = self._hash, fragment
        state.context_info.locale = "pt-BR"
        for key, value in self.values.items():
            widget = state.widget_states.widgets.add()
            widget.id = self.widgets[key].id
            kind = _KINDS[type(value)]
            if kind == "string_array_value":
                widget.string_array_value.data.extend(value)
            else:
                setattr(widget, kind, value)
        if pressed:
            widget = state.widget_states.widgets.add()
            widget.id, widget.trigger_value = self.widgets[pressed].id, True
        began = time.perf_counter()
        await self._socket.send(request.SerializeToString())
        while not self._read(ForwardMsg.FromString(await self._socket.recv())):
            pass
        return time.perf_counter() - began

    def _read(self, message: ForwardMsg) -> bool:
        """Process one message; return True for the last one of the run."""
        kind = message.WhichOneof("type")
        if kind in ("new_session", "navigation"):
            self._hash = getattr(message, kind).page_script_hash
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "delta" and message.delta.HasField("new_element"):
            self._note(message)
        return kind == "script_finished" and (
            message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN
        )

    def _note(self, message: ForwardMsg) -> None:
        element = message.delta.new_element
        kind = element.WhichOneof("type")
        if kind == "exception":
            self.exceptions += 1
        name = getattr(getattr(element, kind), "id", "")
        if name:
            key = _key(name)
            self.widgets[key] = Widget(name, message.delta.fragment_id)
            self.labels[key] = getattr(getattr(element, kind), "label", "")


def _key(name: str) -> str:
    """The key at the end of a widget's id."""
    return name.split("-", 2)[-1]
