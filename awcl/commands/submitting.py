"""The command that hands a study to a cluster: `awcl study submit`."""

import argparse
import sys

from awcl.errors import InputError

FAILED = 1


def study_submit(options: argparse.Namespace) -> int:
    from awcl.study import recipes

    study = recipes.load(options.name)
    if not options.frames and study.phantom is None:
        raise InputError("--frames FRAMES.parquet is needed: a path on the cluster's head")
    flags = _flags(options)
    from awcl.study import submitting  # seconds, so after what can be refused

    name = (options.rename or study.name) + ("-smoke" if options.smoke else "")
    with submitting.dashboard(options.cluster) as address:
        jobs = submitting.client(address)
        job = submitting.submit(jobs, name, options.name, flags)
        print(f"job      {job}")
        for line in _what_next(options.cluster, job):
            print(line, flush=True)
        if options.follow:
            if submitting.follow(jobs, job):
                return 0
            print(f"awcl: job {job} failed; submit it again to go on", file=sys.stderr)
            return FAILED
    return 0


def _flags(options: argparse.Namespace) -> list[str]:
    """Flags of `awcl study run` on the head, checked for what cannot hold there.

    Raises InputError for a path that would be another one on the head, and for a tracking server
    whose password everybody on the network, or in the cluster's dashboard, could read.
    """
    flags = []
    for flag in ("storage", "frames", "packs", "imagenet_weights"):
        value = getattr(options, flag)
        if value is None:
            continue
        flag = f"--{flag.replace('_', '-')}"
        if not value.startswith("/") and (flag != "--storage" or "://" not in value):
            or_url = ", or the URL of an object store" if flag == "--storage" else ""
            raise InputError(
                f"{flag} {value}: a job runs on the cluster's head; give a path from / on{or_url}"
            )
        flags += [flag, value]
    if options.tracking:
        check_tracking(options.tracking)
        flags += ["--tracking", options.tracking]
    if options.rename:
        flags += ["--as", options.rename]
    return [*flags, "--smoke"] if options.smoke else flags


def check_words(words: list[str]) -> None:
    """The same of what follows `awcl study run`, for other ways to a cluster than `submit`."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--tracking", nargs="?", const="", default="")
    check_tracking(parser.parse_known_args(words)[0].tracking)


def check_tracking(uri: str) -> None:
    """Raises InputError for a server whose password others could read, as `_flags` says."""
    from awcl.tracking.client import readable, shown

    if shown(uri) != uri:
        raise InputError(
            "--tracking: holds a password, which the cluster would show to all; leave it out and "
            "put ~/.mlflow/credentials on the head (cluster/README.md)"
        )
    if readable(uri):
        raise InputError(f"--tracking {uri}: sends passwords readably; give https://")


def _what_next(cluster: str, job: str) -> list[str]:
    if "://" in cluster:
        return [f"logs     ray job logs --address {cluster} --follow {job}"]
    return [
        f"logs     ray exec {cluster} 'ray job logs --follow {job}'",
        f"stop     ray exec {cluster} 'ray job stop {job}'",
        f"tables   ray dashboard {cluster}, then http://127.0.0.1:8265",
    ]
