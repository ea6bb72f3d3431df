"""The application of the drain benchmark on uvicorn as it comes: what most services do."""

from __future__ import annotations

import os

import uvicorn

from tests.service.drain_app import app

if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(os.environ["SERVICE_PORT"]), access_log=False, log_level="error"
    )
