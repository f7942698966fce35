from fastapi import FastAPI, HTTPException

import otelmon

app = FastAPI()
otelmon.start(app)


@app.get("/items/{item_id}")
async def show_item(item_id: int) -> dict[str, int]:
    return {"id": item_id}


@app.get("/broken")
async def broken() -> None:
    raise HTTPException(503)
