from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import otelmon


async def show_item(request: Request) -> Response:
    return JSONResponse({"id": request.path_params["item_id"]})


async def broken(request: Request) -> Response:
    return Response(status_code=503)


app = Starlette(routes=[Route("/items/{item_id:int}", show_item), Route("/broken", broken)])
otelmon.start(app)
