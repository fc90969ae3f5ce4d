"""Measure the throughput and latency of `lockstep serve` beside other servers, in the same run.

    .venv/bin/python benchmarks/serve.py                       all servers, 1 and 1,000 rows
    .venv/bin/python benchmarks/serve.py --seconds 3 --rows 1 --connections 1 32

All serve the same model, the random forest of a new project. `lockstep` keeps its answers in a log;
`mlflow` is `mlflow models serve`; `fastapi` is a hand-written app around joblib; `bare` calls
`predict` in a loop, without HTTP. They take turns at each load, and the load generator shares the
machine with them: on a busy one, compare the processor time of the server behind an answer.
"""

import argparse
import asyncio
import json
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from measure import Lab

ROW = {
    "island": "Torgersen", "bill_length_mm": 39.1, "bill_depth_mm": 18.7,
    "flipper_length_mm": 181, "body_mass_g": 3750, "sex": "male", "year": 2007,
}  # fmt: skip
FASTAPI = """
import joblib, pandas as pd
from fastapi import FastAPI

app = FastAPI()
model = joblib.load("models/model.joblib")

@app.post("/invocations")
def predict(body: dict):
    return {"predictions": model.predict(pd.DataFrame(body["dataframe_records"])).tolist()}

@app.get("/health")
def health():
    return {}
"""
BARE = """
import sys, time
import joblib, pandas as pd

model, count, seconds = joblib.load("models/model.joblib"), int(sys.argv[1]), float(sys.argv[2])
rows = pd.read_parquet("data/train.parquet").drop(columns="species").sample(count, replace=True)
model.predict(rows)
end, done = time.perf_counter() + seconds, 0
while time.perf_counter() < end:
    model.predict(rows)
    done += 1
print(done / seconds)
"""
SERVERS = {
    "lockstep": ["lockstep", "serve", "models:/measured@challenger", "--log", "--port"],
    "mlflow": [
        *("mlflow", "models", "serve", "-m", "models:/measured@challenger"),
        *("--env-manager", "local", "--port"),
    ],
    "fastapi": ["uvicorn", "naive:app", "--log-level", "warning", "--port"],
}


def main() -> None:
    """Run the benchmark."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 1000])
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        lab.run(["uv", "sync", "--quiet", "--extra", "serve"], lab.project)
        lab.run(["dvc", "repro"], lab.project)
        (lab.project / "naive.py").write_text(FASTAPI)
        lab.env["MLFLOW_TRACKING_URI"] = f"sqlite:///{lab.project / 'mlflow.db'}"
        ports = {name: free_port() for name in SERVERS}
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        running = [
            subprocess.Popen([*command, str(ports[name])], cwd=lab.project, env=lab.env, **quiet)
            for name, command in SERVERS.items()
        ]
        try:
            for port in ports.values():
                wait_for(port)
            compare(lab, ports, [psutil.Process(process.pid) for process in running], arguments)
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait()


def compare(
    lab: Lab,
    ports: dict[str, int],
    running: list[psutil.Process],
    arguments: argparse.Namespace,
) -> None:
    """Print a line for each server and load."""
    print(f"{'rows':>5} {'conn.':>5}  {'server':8} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8}"
          f" {'p99/p50':>7} {'of mlflow':>9} {'cpu ms':>7} {'of mlflow':>9}")  # fmt: skip
    for rows in arguments.rows:
        bare = lab.output(["python", "-c", BARE, str(rows), "3"], lab.project)
        print(f"{rows:5} {'-':>5}  {'bare':8} {float(bare):10.1f}")
        body = json.dumps({"dataframe_records": [ROW] * rows}).encode()
        for connections in arguments.connections:
            speed: dict[str, tuple[float, float, float]] = {}
            cost: dict[str, float] = {}
            for (name, port), process in zip(ports.items(), running, strict=True):
                asyncio.run(load(port, body, connections, 1))
                before = used(process)
                speed[name] = asyncio.run(load(port, body, connections, arguments.seconds))
                cost[name] = (used(process) - before) / (speed[name][0] * arguments.seconds)
            for name, (rate, middle, late) in speed.items():
                print(
                    f"{rows:5} {connections:5}  {name:8} {rate:10.1f} {middle:8.1f} {late:8.1f}"
                    f" {late / middle:7.1f} {rate / speed['mlflow'][0]:9.1f}"
                    f" {cost[name] * 1000:7.2f} {cost['mlflow'] / cost[name]:9.1f}",
                    flush=True,
                )


def used(process: psutil.Process) -> float:
    """The seconds of processor time of a server and its children."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(time.user + time.system for time in times)


async def load(
    port: int, body: bytes, connections: int, seconds: float
) -> tuple[float, float, float]:
    """Ask as fast as answers come.

    Returns:
        Answers a second, and the median and the 99th percentile of the times in milliseconds.
    """
    times: list[float] = []
    end = time.perf_counter() + seconds
    head = (
        f"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            start = time.perf_counter()
            writer.write(head + body)
            header = await reader.readuntil(b"\r\n\r\n")
            assert header.startswith(b"HTTP/1.1 200"), header
            size = header.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(size))
            times.append(time.perf_counter() - start)
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    times.sort()
    middle, late = (times[int(share * (len(times) - 1))] * 1000 for share in (0.5, 0.99))
    return len(times) / seconds, middle, late


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def wait_for(port: int, seconds: float = 120) -> None:
    """Wait until a server listens."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    main()
