"""What of uvicorn `prodkit.protocol` and `prodkit.server` reach into; it is pinned to one minor version."""

from __future__ import annotations

import inspect

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


def test_version() -> None:
    assert uvicorn.__version__.startswith("0.54.")


def test_protocol() -> None:
    source = inspect.getsource(HttpToolsProtocol)
    for attribute in ("self.pipeline", "self.cycle", "self.flow", "self.transport", "self.server_state"):
        assert attribute in source
    for method in (
        "_start_asgi_task",
        "send_400_response",
        "on_response_complete",
        "_unset_keepalive_if_required",
    ):
        assert callable(getattr(HttpToolsProtocol, method))


def test_cycle() -> None:
    assigned = inspect.getsource(RequestResponseCycle.__init__)
    for attribute in ("keep_alive", "disconnected", "more_body", "response_started", "response_complete"):
        assert f"self.{attribute} = " in assigned


def test_server() -> None:
    for method in ("startup", "shutdown", "handle_exit", "on_tick", "main_loop", "capture_signals"):
        assert callable(getattr(uvicorn.Server, method))
    assert "self._captured_signals" in inspect.getsource(uvicorn.Server.handle_exit)
