"""A service on prodkit with handlers of known duration; the drain tests run it as a process."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import Request
from fastapi.responses import StreamingResponse

from prodkit import Settings, create_app, run

app = create_app(Settings.load(name="drain"))


@app.get("/fast")
async def fast() -> str:
    return "fast"


@app.post("/echo")
async def echo(request: Request) -> int:
    return len(await request.body())


@app.get("/sleep/{seconds}")
async def sleep(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@app.get("/block/{seconds}")
async def block(seconds: float) -> float:
    time.sleep(seconds)  # noqa: ASYNC251  a handler that blocks the event loop is what the test is about
    return seconds


@app.get("/hold")
async def hold() -> str:
    """Hold up the event loop from the file `holding` to the file `go`, long enough to count as a stall."""
    folder = Path(os.environ["FOLDER"])
    (folder / "holding").touch()
    time.sleep(0.2)  # noqa: ASYNC251  as above
    while not (folder / "go").exists():
        time.sleep(0.01)  # noqa: ASYNC251  as above
    return "held"


@app.get("/stream/{seconds}")
async def stream(seconds: float) -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(8):
            await asyncio.sleep(seconds / 8)
            yield b"part\n"

    return StreamingResponse(parts())


@app.get("/events")
async def events() -> StreamingResponse:
    """Never ends by itself, only with the drain."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"hello\n"
        await app.lifecycle.wait_draining()
        yield b"bye\n"

    return StreamingResponse(parts())


if __name__ == "__main__":
    run(app)
