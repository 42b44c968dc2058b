"""The command line: `awcl COMMAND`, also `python -m awcl COMMAND`.

Nothing heavy is imported before the command that needs it is known.
"""

import argparse
import os
import signal
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from awcl import commands
from awcl.config import Config, RunConfig, TrialConfig
from awcl.errors import InputError

BAD_INPUT, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits: 0 when it did what was asked."""
    signal.signal(signal.SIGTERM, _interrupt)
    warnings.showwarning = _one_line_warnings()
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser(arguments).parse_args(arguments)
    try:
        code = options.run(options)
    except InputError as error:
        sys.exit(_fail(str(error), BAD_INPUT))
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be written
        where = f" ({error.filename})" if error.filename else ""
        sys.exit(_fail(f"{error.strerror or error}{where}; what was half-written is gone", 1))
    except (KeyboardInterrupt, SystemExit):  # Ray answers SIGTERM by the latter, without a word
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what still has to end does so in peace
        sys.exit(_fail("interrupted; run the same command again to go on", INTERRUPTED))
    sys.exit(code)


def run_recipe(file: str) -> None:
    """What `python studies/NAME.py` does: `awcl study run FILE` with the same options."""
    main(["study", "run", file, *sys.argv[1:]])


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _fail(message: str, code: int) -> int:
    print(f"awcl: {message}", file=sys.stderr)
    return code


def _one_line_warnings() -> Callable[..., None]:
    """Tells each warning once, wherever it comes from: a column is looked through many times."""
    told: set[str] = set()

    def tell(message: Any, category: Any, *_: Any, **__: Any) -> None:
        if category is UserWarning and str(message) not in told:
            told.add(str(message))
            print(f"awcl: warning: {message}", file=sys.stderr)

    return tell


# --- the parser ----------------------------------------------------------------------------------


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="awcl", description="Anatomy-aware contrastive pre-training for fetal ultrasound."
    )
    actions = parser.add_subparsers(required=True, metavar="COMMAND")

    _data_parsers(actions)
    _encoder_parsers(actions, of_methods=list(arguments[:1]) == ["pretrain"])
    _study_parsers(actions)
    return parser


def _command(
    to: Any, name: str, run: Callable, summary: str, example: str
) -> argparse.ArgumentParser:
    added = to.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"example:\n{textwrap.indent(example, '  ')}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.set_defaults(run=run)
    return added


def _data_parsers(actions: Any) -> None:
    c = _command(
        actions, "frames", commands.frames, "downloads to one frame table",
        "awcl frames fetal_planes_db=FETAL_PLANES_ZENODO hc18=hc18 --out frames.parquet",
    )  # fmt: skip
    c.add_argument("sources", nargs="+", metavar="NAME=DIR")
    c.add_argument("--out", required=True, metavar="FRAMES.parquet")
    c.add_argument("--private", action="store_true", help="names as keyed hashes")
    c.add_argument(
        "--every", type=int, metavar="N", help="of video: keep unlabelled frames 0, N, 2N, ... (8)"
    )
    _taxonomy_flag(c)
    c = _command(
        actions, "phantom", commands.phantom, "make synthetic scans in the form of a real set",
        "awcl phantom --out phantom --scans 30 --seed 0",
    )  # fmt: skip
    c.add_argument("--out", metavar="DIR", help="DIR/frames.parquet and its images and masks")
    c.add_argument("--scans", type=int, default=30, help="scans, one a patient (30)")
    c.add_argument("--seed", type=int, default=0, help="another seed, other patients (0)")
    c.add_argument("--size", type=int, default=224, help="width of a frame in pixels (224)")
    c.add_argument("--seconds", type=float, default=16, help="length of a scan (16)")
    c.add_argument("--rate", type=float, default=25, help="frames a second (25)")
    c.add_argument("--labelled", type=float, default=0.15, help="share of labelled frames (0.15)")
    c.add_argument("--every", type=int, default=8, help="of the others, each so manieth (8)")
    c.add_argument("--videos", action="store_true", help="lossless videos in place of images")
    c.add_argument("--workers", type=int, metavar="N", help="processes; all cores by default")
    c.add_argument("--sheet", metavar="FILE.png", help="draw a contact sheet, anatomy by anatomy")
    c.add_argument("--beside", metavar="FRAMES.parquet", help="real frames to show on the sheet")
    _taxonomy_flag(c)
    c = _command(
        actions, "audit", commands.audit, "what leaks between splits; exit 3 where something does",
        "awcl audit frames.parquet --fix clean.parquet",
    )  # fmt: skip
    c.add_argument("frames", metavar="FRAMES.parquet")
    c.add_argument("--fix", metavar="OUT.parquet", help="move whole connected groups to train")
    c.add_argument("--force", action="store_true", help="also where much of a split moves")
    _taxonomy_flag(c)
    c = _command(
        actions, "pack", commands.pack, "decode frames beforehand, as other commands do on need",
        "awcl pack clean.parquet --size 224",
    )  # fmt: skip
    c.add_argument("frames", metavar="FRAMES.parquet")
    c.add_argument("--size", type=int, default=224, help="view size in pixels (224)")
    c.add_argument("--packs", metavar="DIR")
    c.add_argument(
        "--smoke", action="store_true", help="the few frames of `awcl study run --smoke`"
    )
    c.add_argument(
        "--without-paths", metavar="FILE.parquet",
        help="also write the table without names of files, for a machine that has the packs alone",
    )  # fmt: skip
    _taxonomy_flag(c)


def _encoder_parsers(actions: Any, of_methods: bool) -> None:
    """of_methods: also the flags of single methods, which takes reading every method."""
    c = _command(
        actions, "pretrain", commands.pretrain, "one encoder, in this process",
        "awcl pretrain --frames clean.parquet --out run --anatomy.ratio 0.5",
    )  # fmt: skip
    c.add_argument("--frames", required=True, metavar="FRAMES.parquet")
    c.add_argument("--out", required=True, metavar="RUN", help="folder; an unfinished run goes on")
    c.add_argument("--packs", metavar="DIR")
    c.add_argument("--proxy-level", choices=("coarse", "fine"), default="fine")
    _imagenet_flag(c)
    _config_flags(c, TrialConfig)
    if of_methods:
        _method_flags(c)
    _config_flags(c, RunConfig)
    c = _command(
        actions, "evaluate", commands.evaluate, "judge encoders on downstream tasks",
        "awcl evaluate run --frames clean.parquet --task planes --where 'source=!hc18'\n"
        "awcl evaluate random run --frames clean.parquet --out results --compare\n"
        "awcl evaluate results/random results/run-epoch_0100 --compare",
    )  # fmt: skip
    c.add_argument("encoders", nargs="+", metavar="X", help=f"{ENCODER}; NAME=X names it")
    c.add_argument("--frames", metavar="FRAMES.parquet")
    c.add_argument(
        "--task",
        action="append",
        default=[],
        metavar="T",
        help="default: all that frames allow, but few_masks, which is asked for. Or with settings: "
        """'{"task": "few_labels", "draws": 10}'""",
    )
    c.add_argument("--quick", action="store_true", help="only what studies run on every trial")
    c.add_argument(
        "--compare", action="store_true",
        help="each X against the first, patient by patient; X may be a folder of results, or a "
        "study's of a trial: then nothing is judged again",
    )  # fmt: skip
    c.add_argument(
        "--out", metavar="DIR", help="DIR/X/TASK with predictions and figures; results that are "
        "there are kept, those of other weights or frames refused. Or EVAL.json for one X and task",
    )  # fmt: skip
    _encoder_flags(c, "anatomy.taxonomy")
    c = _command(
        actions, "embed", commands.embed, "features of frames, as Parquet",
        "awcl embed run --frames clean.parquet --out features.parquet",
    )  # fmt: skip
    c.add_argument("encoder", metavar="X", help=ENCODER)
    c.add_argument("--frames", required=True, metavar="FRAMES.parquet")
    c.add_argument("--out", required=True, metavar="FILE.parquet")
    _encoder_flags(c, "anatomy.taxonomy")
    c = _command(
        actions, "export", commands.export, "an encoder for other programs",
        "awcl export run --out encoder.onnx",
    )  # fmt: skip
    c.add_argument("encoder", metavar="X", help=ENCODER)
    c.add_argument(
        "--out", required=True, metavar="FILE",
        help="FILE.safetensors for timm, or FILE.onnx with the normalisation of its input inside",
    )  # fmt: skip
    _weights_flags(c)


ENCODER = "checkpoint, run folder, weights file, 'random' or 'imagenet'"
STORAGE = "a folder (default ./results), or s3://BUCKET/NAME, gs:// or abfss://"
TRACKING = "MLflow; default SQLite in storage, in ./results where that is a URL"
EXAMPLES = {
    "run": " --frames clean.parquet",
    "propose": " 8",
    "submit": " --cluster cluster/aws.yaml --storage s3://BUCKET/studies \\\n"
    "    --frames /home/awcl/data/packs/frames.parquet --packs /home/awcl/data/packs",
}
PACKS = "default STORAGE/packs, ~/.cache/awcl/packs where that is a URL"


def _study_parsers(actions: Any) -> None:
    summary = "run, look at, or complete a study"
    added = actions.add_parser("study", help=summary, description=summary)
    studies = added.add_subparsers(required=True, metavar="ACTION")
    for name, run, summary in (
        ("run", commands.study_run, "run what is pending; running again is how a study resumes"),
        ("evaluate", commands.study_evaluate, "complete missing evaluations of finished trials"),
        ("status", commands.study_status, "the table of trials, as stored"),
        ("report", commands.study_report, "what was found, as one HTML file, figures and tables"),
        ("propose", commands.study_propose, "append configurations, learnt from finished trials"),
        ("sync", commands.study_sync, "write what is stored to MLflow, also into an empty one"),
        ("register", commands.study_register, "the best encoder to MLflow's model registry"),
        ("submit", commands.study_submit, "run it as a job of a cluster (cluster/README.md)"),
    ):
        rest = EXAMPLES.get(name, "")
        c = _command(studies, name, run, summary, f"awcl study {name} planes{rest}")
        c.add_argument("name", metavar="NAME_OR_FILE")
        if name == "propose":
            c.add_argument("count", metavar="N", type=int, help="how many")
        c.add_argument("--storage", default="results", metavar="DIR_OR_URL", help=STORAGE)
        if name not in ("status", "report", "propose"):
            c.add_argument("--tracking", metavar="URI", help=TRACKING)
        if name == "register":
            c.add_argument("--trial", metavar="KEY", help="another than the best finished one")
        if name in ("run", "evaluate", "submit"):
            c.add_argument("--frames", metavar="FRAMES.parquet")
            c.add_argument("--packs", metavar="DIR", help=PACKS)
            _imagenet_flag(c)
            c.add_argument("--as", dest="rename", metavar="NEWNAME", help="under another name")
        if name in ("run", "evaluate", "submit"):
            c.add_argument(
                "--smoke", action="store_true",
                help="a small study of its own, NAME-smoke: does all of it work on these frames?",
            )  # fmt: skip
        if name == "run":
            c.add_argument("--dry-run", action="store_true", help="tell trials and time, run none")
        if name == "submit":
            c.add_argument(
                "--cluster", required=True, metavar="FILE_OR_URL",
                help="a file of `ray up`, or the address of a dashboard; paths are the head's",
            )  # fmt: skip
            c.add_argument("--follow", action="store_true", help="tell what it says until it ends")


def _encoder_flags(command: argparse.ArgumentParser, *further: str) -> None:
    command.add_argument("--where", action="append", default=[], metavar="COLUMN=VALUE")
    command.add_argument("--packs", metavar="DIR")
    _weights_flags(command, *further)


def _weights_flags(command: argparse.ArgumentParser, *further: str) -> None:
    _imagenet_flag(command)
    _config_flags(command, TrialConfig, only=("model.backbone", "data.size", "seed", *further))


def _imagenet_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--imagenet-weights", metavar="FILE", help="of timm's model.backbone, where not in cache"
    )


def _taxonomy_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument("--taxonomy", default="fetal", help="'fetal', or a TOML file of its form")


def _config_flags(
    command: argparse.ArgumentParser, kind: type[Config], only: Sequence[str] = ()
) -> None:
    """A flag for each field of a configuration, by its dotted name. only: those that are read."""
    group = command.add_argument_group(f"{kind.__doc__.splitlines()[0]}")
    for name, field in _fields(kind):
        if only and name not in only:
            continue
        group.add_argument(f"--{name}", dest=f"config:{name}", metavar="X", help=_help(field))


def _method_flags(command: argparse.ArgumentParser) -> None:
    """A flag for each setting that some method has."""
    from awcl.pretrain import methods

    texts: dict[str, list[str]] = {}
    for method in methods.names():
        for name, field in _fields(methods.find(method).Settings):
            texts.setdefault(name, []).append(f"{method}: {_help(field)}")
    group = command.add_argument_group("Settings of single methods (--pretrain.method)")
    for name, of_each in texts.items():
        flag = f"method.{name}"
        group.add_argument(f"--{flag}", dest=f"config:{flag}", metavar="X", help="; ".join(of_each))


def _help(field: Any) -> str:
    """What a field is, and its default where that says something."""
    default = "" if field.default in ({}, [], None) else f" ({field.default})"
    return f"{field.description or ''}{default}".replace("%", "%%").strip()


def _fields(kind: type[Config], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Config):
            yield from _fields(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


if __name__ == "__main__":
    main()
