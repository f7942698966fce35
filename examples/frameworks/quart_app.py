from quart import Quart, Response

import otelmon

app = Quart(__name__)
otelmon.start(app)


@app.get("/items/<int:item_id>")
async def show_item(item_id: int) -> dict[str, int]:
    return {"id": item_id}


@app.get("/broken")
async def broken() -> Response:
    return Response(status=503)
