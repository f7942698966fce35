"""Server CPU a request over real HTTP, with otelmon and without, in one run.

Two bare servers and one with otelmon (as documented: interval 15 s, rules on) are started once; rounds of requests go
to each in turn, and each round of otelmon is compared with the bare rounds around it. The second bare server gives the
A/A ratio, which says how much of a difference is noise.
"""

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import psutil

ROUNDS = 11
REQUESTS = 4_000
CONNECTIONS = 4
MOST = 1.10

REQUEST = b"GET /items/7 HTTP/1.1\r\nHost: bench\r\n\r\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One uvicorn process and the CPU it has used."""

    def __init__(self, variant: str, state: str) -> None:
        self.port = free_port()
        environ = {**os.environ, "OTEL_SERVICE_NAME": "bench", "OTELMON_STATE_DIR": state}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.served", variant, str(self.port)],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.usage = psutil.Process(self.process.pid)

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError("the server did not start within 30 s")

    def cpu_seconds(self) -> float:
        times = self.usage.cpu_times()
        return times.user + times.system

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


async def load(port: int, requests: int) -> None:
    async def one_connection(count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()

    await asyncio.gather(*(one_connection(requests // CONNECTIONS) for _ in range(CONNECTIONS)))


def microseconds(server: Server) -> float:
    """CPU microseconds a request in one round."""
    before = server.cpu_seconds()
    asyncio.run(load(server.port, REQUESTS))
    return (server.cpu_seconds() - before) / REQUESTS * 1e6


def main() -> int:
    with tempfile.TemporaryDirectory() as state:
        servers = {name: Server(name.split("_")[0], state) for name in ("bare", "bare_again", "otelmon")}
        try:
            for server in servers.values():
                server.wait_ready()
                asyncio.run(load(server.port, REQUESTS))
            rounds = [{name: microseconds(server) for name, server in servers.items()} for _ in range(ROUNDS)]
        finally:
            for server in servers.values():
                server.close()
    ours = statistics.median(r["otelmon"] / ((r["bare"] + r["bare_again"]) / 2) for r in rounds)
    again = sorted(r["bare_again"] / r["bare"] for r in rounds)
    print("Server CPU microseconds a request over HTTP (uvicorn, FastAPI), median of", ROUNDS, "rounds")
    for name in servers:
        print(f"  {name:12s} {statistics.median(r[name] for r in rounds):7.1f}")
    print(f"  otelmon / bare {ours:.3f} (at most {MOST}); bare / bare {again[0]:.3f} to {again[-1]:.3f}")
    return 0 if ours <= MOST else 1


if __name__ == "__main__":
    raise SystemExit(main())
