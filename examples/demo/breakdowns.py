"""What the shop depends on breaks: Redis, the database's pool, its health, uploads, and a queue that nobody works."""

from __future__ import annotations

import httpx

from examples.demo.stage import Scene, Stage

REDIS, POOL, HEALTH, UPLOADS, QUEUE = (
    "Redis connection", "Database connections", "Health check", "Failing uploads", "Queue delay",
)  # fmt: skip
_VIDEO = b"\0" * 4096
# Redis and queues are asked every 15 s, and a Redis is down after three tries.
_REDIS_DOWN_SECONDS, _REDIS_UP_SECONDS, _QUEUE_SECONDS = 60, 45, 35


def redis_goes_away(stage: Stage) -> None:
    """Redis ends. Its page comes after three failures, so other scenes are played meanwhile."""
    stage.backends.stop_redis()
    stage.breaks(
        "Redis down",
        REDIS,
        "Valkey is ended; three PINGs have to fail, 15 s apart: its page comes later",
        breakdown="Servers that do not answer",
        cause="127.0.0.1:",
    )


def redis_is_paged_and_comes_back(stage: Stage) -> None:
    """The page for Redis, which is then started again."""
    fault = stage.faults[REDIS]
    stage.wait_page(fault, _REDIS_DOWN_SECONDS)
    stage.backends.start_redis()
    stage.mended(fault, "Valkey is started again; two PINGs have to succeed: it resolves later")


def three_at_once(stage: Stage) -> None:
    """The pool is exhausted, the health endpoint fails and uploads fail; each is paged, mended and resolved."""
    with httpx.Client(base_url=stage.shop.url, timeout=10, trust_env=False) as visitor:
        if visitor.get("/orders/count").text != "20":
            raise AssertionError("the database does not answer")
        for _ in range(5):
            visitor.post("/videos", content=_VIDEO).raise_for_status()
        stage.shop.switch("uploads", on=True)
        uploads = stage.breaks(
            "uploads fail",
            UPLOADS,
            "the place for videos is full",
            breakdown="Operations",
            cause="video-upload: ",
        )
        for _ in range(4):
            visitor.post("/videos", content=_VIDEO)
        stage.shop.switch("connections", on=True)
        pool = stage.breaks(
            "pool exhausted",
            POOL,
            f"a report keeps every connection ({stage.backends.database})",
            breakdown="Pools",
            cause="orders: 100 %",
        )
        stage.shop.switch("health", on=True)
        health = stage.breaks(
            "health endpoint fails",
            HEALTH,
            "/health answers 503",
            breakdown="Probes that fail",
            cause="shop ",
        )
        for fault in (uploads, pool, health):
            stage.wait_page(fault, 15)
        for fault, name in ((pool, "connections"), (health, "health"), (uploads, "uploads")):
            stage.shop.switch(name, on=False)
            stage.mended(fault, f"{name}: mended")
        for _ in range(5):
            visitor.post("/videos", content=_VIDEO).raise_for_status()
        for fault in (pool, health, uploads):
            stage.wait_resolved(fault, 60)


def redis_is_over(stage: Stage) -> None:
    """Redis has answered often enough."""
    stage.wait_resolved(stage.faults[REDIS], _REDIS_UP_SECONDS)


def queue_stands_still(stage: Stage) -> None:
    """Mails wait because no worker runs; then one does."""
    httpx.post(f"{stage.shop.url}/mails", timeout=10).raise_for_status()
    fault = stage.breaks(
        "queue delayed",
        QUEUE,
        "a mail is queued, and no worker runs; it may wait 5 s",
        breakdown="Oldest jobs",
        cause="mails: ",
    )
    stage.wait_page(fault, _QUEUE_SECONDS)
    stage.backends.work()
    stage.mended(fault, "a worker of RQ has emptied the queue")
    stage.wait_resolved(fault, _QUEUE_SECONDS)


BEFORE = (Scene(title="Redis goes away", seconds=5, play=redis_goes_away),)
AFTER = (
    Scene(title="Redis is paged, and comes back", seconds=30, play=redis_is_paged_and_comes_back),
    Scene(title="Pool exhausted, health endpoint and uploads failing", seconds=75, play=three_at_once),
    Scene(title="Redis is over", seconds=20, play=redis_is_over),
    Scene(title="A queue that nobody works", seconds=70, play=queue_stands_still),
)
