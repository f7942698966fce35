"""A small shop: `uvicorn examples.shop.app:app`. Its faults are switched on and off by hand.

The switches (faults.py) stand in for what breaks in real life; the rest is what a user would write: one line starts
otelmon, a counter and a gauge of the shop's own are alerted on by rules in otelmon.yaml. What the shop depends on is in
depends.py.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Annotated

import fastapi
from fastapi import FastAPI, HTTPException
from opentelemetry import metrics

import otelmon
from examples.shop.faults import effects, faults, router

app = FastAPI(title="shop")
otelmon.start(app)

meter = metrics.get_meter("shop")
orders = meter.create_counter("shop.orders", unit="{order}", description="Orders placed.")
disk_limit = meter.create_gauge("shop.disk.limit", unit="%", description="Disk usage above which the shop complains.")
disk_limit.set(100.0)

PRODUCTS = {number: {"id": number, "name": f"Lamp {number}", "price": 10 + number} for number in range(1, 21)}


@app.get("/products")
async def list_products() -> list[dict[str, object]]:
    """All products."""
    await asyncio.sleep(random.uniform(0.001, 0.01))  # noqa: S311 (a delay, not a secret)
    return list(PRODUCTS.values())


@app.get("/products/{product_id}")
async def show_product(product_id: Annotated[int, fastapi.Path(ge=1)]) -> dict[str, object]:
    """One product; slow while the fault "slow" is on."""
    await asyncio.sleep(1.2 if "slow" in faults else random.uniform(0.001, 0.01))  # noqa: S311
    if product_id not in PRODUCTS:
        raise HTTPException(status_code=404, detail="no such product")
    return PRODUCTS[product_id]


@app.post("/checkout", status_code=201)
async def check_out() -> dict[str, str]:
    """Place an order; every other one fails while the fault "errors" is on."""
    await asyncio.sleep(random.uniform(0.002, 0.02))  # noqa: S311
    if "errors" in faults and random.random() < 0.5:  # noqa: S311
        raise RuntimeError("the payment provider refused the connection")
    orders.add(1)
    return {"status": "placed"}


effects["disk"] = (lambda: disk_limit.set(0.0), lambda: disk_limit.set(100.0))
app.include_router(router)
if "SHOP_TRACES" in os.environ:
    from examples.shop.tracing import trace

    trace(app, Path(os.environ["SHOP_TRACES"]))
if "SHOP_DATABASE_URL" in os.environ and "SHOP_REDIS_URL" in os.environ:
    from examples.shop import depends

    app.include_router(depends.router)
