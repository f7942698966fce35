"""The lag of the event loop: seen when it is late, silent when it is not, gone when it stopped."""

import asyncio
import time

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otelmon.instrument.eventloop import EventLoopLag


def watch(loop, **how):
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    return EventLoopLag(provider.get_meter("test"), loop, **how), reader


def gauge(reader):
    data = reader.get_metrics_data()
    if data is None:
        return None
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    assert (metric.name, metric.unit) == ("otelmon.event_loop.lag", "s")
    return metric.data.data_points[0].value


def test_a_block_of_the_loop_is_the_worst_lag_until_the_next_sample():
    async def story():
        lag, reader = watch(asyncio.get_running_loop(), period_seconds=0.01)
        assert lag.sample() is None
        assert gauge(reader) is None
        lag.start()
        await asyncio.sleep(0.02)
        time.sleep(0.08)  # noqa: ASYNC251 (the fault that is measured)
        await asyncio.sleep(0.02)
        assert 0.06 <= lag.sample() <= 10.0
        assert gauge(reader) >= 0.06
        for _ in range(1000):  # a busy machine blocks a loop too
            await asyncio.sleep(0.03)
            if (last := lag.sample()) < 0.06:
                break
        assert last < 0.06
        lag.stop()

    asyncio.run(story())


def test_a_loop_that_is_blocked_at_this_moment_is_seen():
    async def story():
        lag, _ = watch(asyncio.get_running_loop(), period_seconds=0.01)
        lag.start()
        await asyncio.sleep(0)
        time.sleep(0.05)  # noqa: ASYNC251 (the fault that is measured)
        assert lag.sample() >= 0.03
        lag.stop()

    asyncio.run(story())


def test_after_a_stop_no_timer_is_left_and_the_gauge_has_no_value():
    async def story():
        loop = asyncio.get_running_loop()
        lag, reader = watch(loop, period_seconds=0.01)
        lag.start()
        lag.start()
        await asyncio.sleep(0.02)
        lag.sample()
        lag.stop()
        await asyncio.sleep(0.02)
        assert not [handle for handle in loop._scheduled if not handle.cancelled()]
        assert lag.sample() is None
        assert gauge(reader) is None

    asyncio.run(story())


def test_a_closed_loop_is_left_alone():
    loop = asyncio.new_event_loop()
    loop.close()
    lag, _ = watch(loop)
    lag.start()
    assert lag.sample() is None
    lag.stop()


def test_a_loop_that_ended_without_a_stop_has_no_lag():
    loop = asyncio.new_event_loop()
    lag, _ = watch(loop, period_seconds=0.001)

    async def story():
        lag.start()
        await asyncio.sleep(0.01)

    loop.run_until_complete(story())
    loop.close()
    assert lag.sample() is None
