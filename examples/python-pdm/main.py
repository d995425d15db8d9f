"""Tells birds by their length."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

BIRDS = {"wren": 10, "robin": 14, "magpie": 46, "heron": 95}


async def nearest(request: Request) -> PlainTextResponse:
    length = request.path_params["length"]
    return PlainTextResponse(min(BIRDS, key=lambda bird: abs(BIRDS[bird] - length)))


app = Starlette(routes=[Route("/{length:int}", nearest)])
