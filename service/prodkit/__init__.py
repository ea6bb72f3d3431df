"""prodkit: what a FastAPI service needs around it in production.

    from prodkit import Settings, create_app, run

    app = create_app(Settings.load(name="hello"))

    @app.get("/hello/{name}")
    async def hello(name: str) -> dict[str, str]:
        return {"hello": name}

    if __name__ == "__main__":
        run(app)

Every part can be taken alone: `prodkit.server` (drain), `.telemetry`, `.health`, `.metrics`, `.logs`,
`.problems`, `.correlation`, `.cache`.
"""

from prodkit.app import App, create_app
from prodkit.correlation import propagation_headers
from prodkit.health import Check
from prodkit.problems import Problem, ProblemBody
from prodkit.runner import run
from prodkit.settings import Settings, SettingsError

__all__ = [
    "App",
    "Check",
    "Problem",
    "ProblemBody",
    "Settings",
    "SettingsError",
    "create_app",
    "propagation_headers",
    "run",
]
