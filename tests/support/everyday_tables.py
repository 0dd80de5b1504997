"""Tables as people have them: gaps, names, tickets, dollars, decimal commas, dates, indices."""

from __future__ import annotations

import csv
import datetime
import random
from pathlib import Path


def write_passengers(path: Path, rows: int = 891) -> None:
    """Passengers of a ship: names with commas and quotes, tickets, cabins, ages with gaps."""
    draw = random.Random(3)
    names = "PassengerId,Survived,Pclass,Name,Sex,Age,SibSp,Parch,Ticket,Fare,Cabin,Embarked"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names.split(","))
        for number in range(1, rows + 1):
            sex, deck = draw.choice(["male", "male", "female"]), draw.choice([1, 2, 3, 3])
            lives = (0.85 if sex == "female" else 0.1) + {1: 0.1, 2: 0.0, 3: -0.08}[deck]
            age = draw.choice([str(draw.randint(1, 70)), f"{draw.uniform(0, 70):.1f}"])
            ticket = f"A/5 {draw.randint(1000, 9999)}"
            writer.writerow([
                number,
                int(draw.random() < lives),
                deck,
                f'Name{number}, {"Mrs." if sex == "female" else "Mr."} John "Jack"',
                sex,
                "" if draw.random() < 0.2 else age,
                draw.randint(0, 3),
                draw.randint(0, 2),
                ticket if draw.random() < 0.3 else draw.randint(10_000, 399_999),
                f"{draw.expovariate(1 / 30):.4f}",
                "" if draw.random() < 0.77 else f"{draw.choice('ABC')}{draw.randint(1, 90)}",
                draw.choice(["S", "S", "C", "Q", ""]),
            ])  # fmt: skip


def write_houses(path: Path, rows: int = 1500) -> None:
    """Houses: an id, streets, dates with slashes, NA, prices in dollars with commas."""
    draw = random.Random(5)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "street", "sold", "size", "rooms", "heating", "price"])
        for number in range(rows):
            size = draw.uniform(30, 250)
            day = datetime.date(2015, 1, 1) + datetime.timedelta(draw.randint(0, 3000))
            price = 1500 * size + 30 * (day.year - 2015) * size + draw.gauss(0, 5000)
            street = f"{draw.choice(['Oak', 'Elm', 'High'])} St {draw.randint(1, 2000)}"
            rooms, heating = draw.choice(["2", "3", "4", "NA"]), draw.choice(["gas", "oil", "wood"])
            sold = day.strftime("%d/%m/%Y")
            writer.writerow([number, street, sold, f"{size:.1f}", rooms, heating, f"${price:,.2f}"])


def write_wines(path: Path, rows: int = 1200) -> None:
    """Wines: semicolons, decimal commas and umlauts in Latin-1."""
    draw = random.Random(7)

    def comma(value: float) -> str:
        return f"{value:.2f}".replace(".", ",")

    with path.open("w", newline="", encoding="latin-1") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["Säure", "Zucker", "Alkohol", "Rebsorte", "Güte"])
        for _ in range(rows):
            acid, sugar = draw.uniform(4, 16), draw.uniform(0, 20)
            alcohol = draw.uniform(8, 15)
            quality = 0.5 * alcohol - 0.1 * acid + 0.02 * sugar + draw.gauss(0, 0.1)
            grape = draw.choice(["Grüner Veltliner", "Müller-Thurgau", "Riesling"])
            writer.writerow([*map(comma, (acid, sugar, alcohol)), grape, comma(quality)])


def write_indexed_parquet(path: Path, rows: int = 1000) -> None:
    """A Parquet file that pandas wrote with an index, which tells the class; nothing else does."""
    import pandas

    draw = random.Random(11)
    label = [number * 2 // rows for number in range(rows)]
    frame = pandas.DataFrame(
        {
            "noise": [draw.gauss(0, 1) for _ in range(rows)],
            "color": pandas.Categorical([draw.choice(["red", "blue"]) for _ in range(rows)]),
            "seen": pandas.array([draw.choice([1, 2, None]) for _ in range(rows)], "Int64"),
            "class": label,
        },
        index=[f"{number:05d}" for number in range(rows)],
    )
    frame.to_parquet(path)


def write_long(path: Path, rows: int = 1_000_000, columns: int = 20) -> None:
    """Many rows of numbers with nine digits."""
    import numpy as np
    import polars

    draw = np.random.default_rng(13)
    values = np.round(draw.standard_normal((rows, columns - 1)), 8)
    target = 2 * values[:, 0] - values[:, 1] + 0.1 * draw.standard_normal(rows)
    names = [f"f{i}" for i in range(columns - 1)]
    frame = polars.DataFrame(values, schema=names).with_columns(
        polars.Series("y", np.round(target, 8))
    )
    frame.write_csv(path)
