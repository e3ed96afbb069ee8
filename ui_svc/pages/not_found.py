"""The page of an address that leads nowhere."""

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from nicegui import Client, app, ui

from ui_svc.web.components import NotFoundPage


def install() -> None:
    """Answers what no other page does."""

    @app.exception_handler(404)
    async def answer(request: Request, _: Exception) -> Response:
        # Scripts, pictures and programs take no page for an answer.
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse({"message": f"Nothing is at {request.url.path}."}, 404)
        with Client(ui.page(request.url.path, title="Heddle"), request=request) as client:
            NotFoundPage()
        return client.build_response(request, 404)
