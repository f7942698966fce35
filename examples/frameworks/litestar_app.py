from litestar import Litestar, get
from litestar.exceptions import ServiceUnavailableException
from litestar.params import FromPath

import otelmon


@get("/items/{item_id:int}")
async def show_item(item_id: FromPath[int]) -> dict[str, int]:
    return {"id": item_id}


@get("/broken")
async def broken() -> None:
    raise ServiceUnavailableException


app = Litestar([show_item, broken])
otelmon.start(app)
