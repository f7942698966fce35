"""The app that the HTTP benchmarks serve: `python -m tests.benchmarks.served bare|otelmon PORT`."""

import sys

import uvicorn
from fastapi import FastAPI

import otelmon


def build(variant: str) -> FastAPI:
    app = FastAPI()

    @app.get("/items/{item_id}")
    async def show_item(item_id: int) -> dict[str, int]:
        return {"item_id": item_id}

    if variant == "otelmon":
        otelmon.start(app, paging="on")
    return app


if __name__ == "__main__":
    uvicorn.run(build(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)
