"""Requests to an object store, and calls of MLflow, that a real trial makes: counted, not timed.

Two short studies of one trial, which differ by two epochs, on a store of this machine (moto). Its
server counts what comes, whichever process of the study it is from; what the driver itself sends is
counted in it, too, since the driver waits for each of its requests.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from unittest.mock import patch

from benchmarks.harness import Missing, Run
from benchmarks.scaling import stub
from benchmarks.scaling.driver import Counted, counted

BUCKET, EPOCHS = "scaling", (2, 4)
FRAMES = 80
METHODS = {"GET": "reads", "HEAD": "reads", "PUT": "writes", "POST": "writes", "DELETE": "deletes"}
OF_BUCKETS = {"GET": "lists", "HEAD": "reads", "PUT": "writes", "POST": "deletes"}  # many at once


def measure(run: Run) -> dict[str, Any]:
    """Of each study: requests by kind, in all and of the driver; writes by object; MLflow calls."""
    from awcl.study.cluster import ray_session
    from awcl.study.stages import Stages

    table, store, found = stub.frames(run.folder, FRAMES), Store(), {}
    with serving(store), ray_session(Stages()):
        for epochs in EPOCHS[: run.size(2, 1)]:
            found[epochs] = _one_trial(run, table, store, epochs)
    return {"of": found}


def _one_trial(run: Run, table: Any, store: "Store", epochs: int) -> dict[str, Any]:
    from awcl import objects

    recipe = run.folder / f"counted-{epochs}.py"
    recipe.write_text(RECIPE.format(epochs=epochs))
    command = ["study", "run", str(recipe), "--frames", str(table), "--storage", f"s3://{BUCKET}",
               "--tracking", f"sqlite:///{run.folder / 'mlflow.db'}",
               "--packs", str(run.folder / "packs")]  # fmt: skip
    store.requests.clear()
    ours, calls, again = Counter(), Counter(), Counter()
    with counted(calls), patch.object(objects, "obstore", Counted(objects.obstore, ours)):
        _awcl(command)
    sent = store.requests.copy()
    with patch.object(objects, "obstore", Counted(objects.obstore, again)):
        _awcl(command)
    kinds, objects_written = Counter(), Counter()
    for (method, what), count in sent.items():
        kind = METHODS[method] if what else OF_BUCKETS[method]
        kinds[kind] += count
        if kind == "writes":
            objects_written[what] += count
    return {
        "requests": dict(kinds),
        "of_the_driver": dict(ours),
        "run_again": dict(again),
        "writes": dict(sorted(objects_written.items())),
        "mlflow_calls": dict(calls),
    }


RECIPE = '''"""One short trial, whose requests are counted."""

from awcl.config import TrialConfig, with_values
from awcl.study.space import Study


def study() -> Study:
    values = {{"model.backbone": "test_resnet", "data.size": 32, "pretrain.batch": 8,
              "pretrain.epochs": {epochs}}}
    base = with_values(TrialConfig(), values, "benchmarks")
    return Study(name="counted-{epochs}", base=base, tasks=["planes"])
'''


def _awcl(words: list[str]) -> None:
    from awcl.__main__ import main

    try:
        main(words)
    except SystemExit as ended:
        if ended.code:
            raise Missing(f"the study of the benchmark failed, exit code {ended.code}") from ended


class Store:
    """A WSGI application before another: counts (method, object) of what it passes on.

    The object is its name with trial, epoch and the like as words; '' for a list of a bucket.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.behind: Callable = _nothing

    def __call__(self, about: dict[str, Any], start: Callable) -> Iterable[bytes]:
        name = about["PATH_INFO"].removeprefix(f"/{BUCKET}").strip("/")
        self.requests[about["REQUEST_METHOD"], kind_of(name)] += 1
        return self.behind(about, start)


def _nothing(about: dict[str, Any], start: Callable) -> Iterable[bytes]:
    raise RuntimeError("no store is behind this")


def kind_of(name: str) -> str:
    """'trials/KEY/train/LAUNCH/epoch_N/state.pt' of an object's name in a study's folder."""
    name = re.sub(r"^(counted-\d+)/", "", name)
    name = re.sub(r"trials/[0-9a-f]{12}", "trials/KEY", name)
    name = re.sub(r"launch-[\d-]+", "LAUNCH", name)
    name = re.sub(r"epoch_\d+", "epoch_N", name)
    name = re.sub(r"^packs/[0-9a-f]+/.*", "packs/DIGEST/*", name)
    return re.sub(r"^tune/.*", "tune/*", re.sub(r"eval/([a-z_]+)-[0-9a-f]+", r"eval/\1", name))


@contextmanager
def serving(store: Store) -> Iterator[None]:
    """An object store of this machine, and the environment in which every process finds it."""
    try:
        import boto3
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server
    except ImportError as error:
        raise Missing(f"{error.name} is not installed; requirements-dev.txt has it") from error
    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line a request
    store.behind = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, store, threaded=True)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.port}"
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    where = {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1"}
    with patch.dict(os.environ, keys | where):
        boto3.client("s3", endpoint_url=url).create_bucket(Bucket=BUCKET)
        yield
    server.shutdown()
