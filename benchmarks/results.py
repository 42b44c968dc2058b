"""The results: results.json, which is added to, and the table RESULTS.md, which is made from it."""

import json
import os
import platform
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.harness import Row
from benchmarks.rows import FILES

HERE = Path(__file__).parent
TABLE, STORE = HERE / "RESULTS.md", HERE / "results.json"
FIGURE = "quickstart.png"  # beside the table
VERSIONS = ("torch", "torchvision", "timm", "albumentations", "opencv-python-headless", "numpy",
            "scikit-learn", "ray", "mlflow", "lightly", "pytorch-metric-learning")  # fmt: skip
MOST = 900  # seconds of all rows of `make bench`
MAKE = {False: "make bench", True: "make bench-long"}
BUSY = 0.1  # cores that other work may use before figures are called preliminary
HEAD = """# Results

Made by `make bench` (`python -m benchmarks`) and, its long rows, `make bench-long`, each on the day
beside it; what each row measures is told in `rows/`. A ratio is the median over turns in which both
were measured, with the lowest and the highest turn: how many times as fast as the other ours is; in
a row that ends in "time", "bytes" or "epochs", how many times as much ours takes; in one that
speaks of a share, that share. Trials and searches are too long for turns: there one was run after
the other, and the brackets are over trials or replays of ours. Bytes and gradients are the same in
every run.

"""


COLUMNS = (
    "| what | ours | against | ratio | aim | met | date |",
    "| --- | --- | --- | --- | --- | --- | --- |",
)


def machine() -> dict[str, Any]:
    """What it ran on."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    models = [line.partition(":")[2].strip() for line in info.splitlines() if "model name" in line]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {name: version for name in VERSIONS if (version := _version(name))},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def add(name: str, rows: list[Row], took: float, busy: float) -> None:
    """Puts the rows of a file in place of those that it gave before, and makes the table anew."""
    stored = json.loads(STORE.read_text(encoding="utf-8")) if STORE.is_file() else {"files": {}}
    stored["files"][name] = {
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d"),
        "seconds": round(took, 1),
        "busy_cores": round(busy, 2),
        "rows": [asdict(row) for row in rows],
    }
    STORE.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    TABLE.write_text(table(stored), encoding="utf-8")


def table(stored: dict[str, Any]) -> str:
    """RESULTS.md."""
    files = {name: stored["files"][name] for name in FILES if name in stored["files"]}
    lines = [*machines(files), *COLUMNS]
    preliminary = False
    for file in files.values():
        mark = "*" if file["busy_cores"] > BUSY else ""
        preliminary |= bool(mark)
        lines += [line(row, file["date"] + mark) for row in file["rows"]]
    lines += [
        line(asdict(Row(name, why=f"not measured yet: {MAKE[FILES[name].long]}")), "")
        for name in FILES
        if name not in files
    ]
    if preliminary:
        lines.append(
            "\n\\* Preliminary: other work kept the machine busy. The ratio may stand; the figures "
            "in seconds, bytes a second and items a second are no results."
        )
    took = {
        long: sum(of["seconds"] for name, of in files.items() if FILES[name].long == long)
        for long in (False, True)
    }
    over = f", more than the {MOST / 60:.0f} that they may take" * (took[False] > MOST)
    lines.append(
        f"\nThe rows of `make bench` took {took[False] / 60:.1f} minutes in all{over}, the long "
        f"ones {took[True] / 60:.1f}: sums over the newest run of each."
    )
    if (TABLE.parent / FIGURE).is_file():
        lines.append(f"\n![Where the time of the quickstart goes]({FIGURE})")
    return HEAD + "\n".join(lines) + "\n"


def machines(files: dict[str, Any]) -> list[str]:
    """A line for each machine and set of versions; which rows are its, where there are several."""
    of: dict[str, list[str]] = {}
    for name, file in files.items():
        of.setdefault(told(file["machine"]), []).append(name)
    if len(of) == 1:
        return [f"{line}\n" for line in of]
    return [f"{', '.join(names)}: {line}\n" for line, names in of.items()]


def told(about: dict[str, Any]) -> str:
    """What `machine` found, in a line."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    cuda = f"CUDA {about['cuda']}, " if about.get("cuda") else ""
    return (
        f"{cuda}{about['processor']}, {about['cores']} cores, {about['memory_gb']} GB, "
        f"{about['system']}, Python {about['python']}; {versions}."
    )


def line(row: dict[str, Any], date: str) -> str:
    """A row of the table under COLUMNS."""
    if not row["ours"]:
        return f"| {row['what']} | | | | | {row['why']} | {date} |"
    met = {True: "yes", False: f"no: {row['why']}" if row["why"] else "no", None: ""}[row["met"]]
    cells = [row["what"], row["ours"], row["against"], ratio(row["ratio"]), row["aim"], met, date]
    return "| " + " | ".join(cells) + " |"


def ratio(of: tuple[float, float, float] | None) -> str:
    """'12.1 [11.8, 12.6]', or one figure where it has no spread."""
    if of is None:
        return ""
    mid, low, high = (f"{value:.3g}" for value in of)
    return mid if low == high else f"{mid} [{low}, {high}]"
