"""HTTP side of imports."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from catalog.imports.schemas import Import, ImportInput
from catalog.imports.service import ImportService
from prodkit import ProblemBody

ImportId = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-f]{32}$",
        description="Id of the import",
        examples=["019aaf0d2c1e7b1f3c5d8e9fa0b1c2d3"],
    ),
]
_MISSING: dict[int | str, dict[str, Any]] = {
    404: {"model": ProblemBody, "description": "There is no such import"}
}
_UNREADABLE: dict[int | str, dict[str, Any]] = {
    400: {"model": ProblemBody, "description": "The body cannot be read: it has to be JSON in UTF-8"},
    413: {
        "model": ProblemBody,
        "description": "The body is larger than this service takes: send it in parts",
    },
}


def imports_router(imports: ImportService) -> APIRouter:
    """Routes under `/imports`."""
    router = APIRouter(prefix="/imports", tags=["imports"])

    @router.post("", summary="Import many", status_code=202, responses=_UNREADABLE)
    async def start_import(given: ImportInput, response: Response) -> Import:
        """Create or replace many products in the background; `Location` says how far it is."""
        begun = await imports.start(given.items)
        response.headers["Location"] = f"/imports/{begun.id}"
        return begun

    @router.get("/{import_id}", summary="Progress", responses=_MISSING)
    async def get_import(import_id: ImportId) -> Import:
        """How far an import is."""
        return await imports.get(import_id)

    return router
