"""Writes homes.csv (categories, missing values) and berlin.parquet (numbers) to a folder.

Prices follow a formula that a network can learn, plus noise: python examples/homes.py FOLDER
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

CITIES = {"Berlin": 5.0, "Paris": 9.0, "Rome": 4.0}  # thousands for a square meter


def homes(samples: int, seed: int = 0) -> dict[str, list[object]]:
    """Columns area (square meters), rooms, city, garden, price (thousands) and kind."""
    random = np.random.Generator(np.random.PCG64(seed))
    area = random.uniform(30, 200, samples).round(1)
    rooms = 1 + (area / 40).astype(int)
    city = random.choice(list(CITIES), samples)
    garden = random.choice(["yes", "no"], samples)
    by_city = np.array([CITIES[name] for name in city])
    price = area * by_city + 20 * rooms + 50 * (garden == "yes") + random.normal(0, 15, samples)
    kind = np.select([price < 500, price < 900], ["cheap", "middle"], "dear")
    columns = {
        "area": area, "rooms": rooms, "city": city, "garden": garden, "price": price.round(1),
        "kind": kind,
    }  # fmt: skip
    return {name: values.tolist() for name, values in columns.items()}


def main(folder: Path) -> None:
    """Write both files."""
    import polars

    columns = homes(2000)
    table = polars.DataFrame(columns).filter(polars.col("city") == "Berlin")
    numbers = table.select("area", "rooms", polars.col("garden") == "yes", "price")
    numbers.cast({"garden": polars.Int8}).write_parquet(folder / "berlin.parquet")
    for row in range(0, 2000, 25):
        columns["area"][row] = ""
        columns["city"][row + 7] = "NA"
    with open(folder / "homes.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
