"""Studies as they are stored, of made predictions: nothing is trained."""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from awcl.config import TrialConfig, with_values
from awcl.downstream.evaluation import write_evaluation
from awcl.files import whole_file
from awcl.pretrain.methods import canonical
from awcl.records import StudyFolder, TrialFolder
from awcl.study.growth import stored_study
from awcl.study.space import arms_of

CLASSES = np.array(["4CH", "HCP", "LVOT"])
PATIENTS, FRAMES = 12, 6  # frames a patient
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)  # a picture of one pixel


def predictions(right: float, seed: int, patients: int = PATIENTS) -> pd.DataFrame:
    """Planes of test patients, in turn on two machines, of which a share is told rightly."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), FRAMES)
    truth = CLASSES[(patient + np.arange(len(patient)) % 2) % len(CLASSES)]
    wrong = CLASSES[rng.integers(len(CLASSES), size=len(patient))]
    ridge = np.where(rng.random(len(patient)) < right, truth, wrong)
    return pd.DataFrame(
        {
            "frame_id": [f"f{n:03d}" for n in range(len(patient))],
            "patient": [f"p{n:02d}" for n in patient],
            "audit_group": None,
            "source": "made",
            "machine": np.where(patient % 2, "A", "B"),
            "truth": truth,
            "ridge": ridge,
        }
    )


def dice(mean: float, seed: int, patients: int = PATIENTS) -> pd.DataFrame:
    """Overlap on frames of an unseen machine, with and without its masks to learn from."""
    rng = np.random.default_rng(seed)
    table = predictions(1, seed, patients).drop(columns=["truth", "ridge"])
    spread = 0.02 * rng.standard_normal((2, len(table)))
    return table.assign(
        **{
            "frozen/C/shift/dice": mean - 0.1 + spread[0],
            "frozen/C/transfer/dice": mean + spread[1],
        }
    )


@dataclass
class Making:
    """A study in the making. add: a trial by the values of its fields."""

    folder: StudyFolder
    base: TrialConfig
    count: int = 0

    def add(
        self,
        seed: int = 0,
        right: float | None = None,
        outcome: str | None = "finished",
        epochs: int = 3,
        reason: str = "",
        tasks: tuple[str, ...] = ("planes",),
        table: pd.DataFrame | None = None,
        labels: int | None = None,
        **values: Any,
    ) -> TrialFolder:
        """labels: how many pre-training read; None: its history does not tell."""
        values = {name.replace("__", "."): value for name, value in values.items()}
        config = canonical(with_values(self.base, {**values, "seed": seed}, "test"))
        self.count += 1
        trial = self.folder.trial(f"{self.count:012d}")
        self._tell_arm(trial.key, config)
        about = {"key": trial.key, "config": config.model_dump(mode="json"), "pack": "p1"}
        trial.write_about({**about, "taxonomy": "t1"})
        used = {} if labels is None else {"labels_used": labels}
        untrained = config.pretrain.epochs == 0 and epochs > 0
        epochs = 0 if untrained else epochs  # one row, of epoch 0
        for epoch in [0] if untrained else range(1, epochs + 1):
            proxy = 0.1 * epoch + 0.01 * self.count
            trial.append_history(
                {"epoch": epoch, "time": 100.0 + epoch, "val/proxy": proxy, **used}
            )
        if outcome:
            trial.write_done(outcome, epoch=epochs, reason=reason)
        for task in tasks if right is not None or table is not None else ():
            self.judge(trial, task, predictions(right, seed) if table is None else table, epochs)
        return trial

    def judge(
        self, trial: TrialFolder, task: str, table: pd.DataFrame, epoch: int, kind: str = "planes"
    ) -> None:
        """Stores predictions as an evaluation of this kind of task."""
        result = {"name": task, "task": kind, "epoch": epoch, "time": 1.0, "about": {}}
        result["metrics"] = {"macro_f1": 0.5, "macro_f1/low": 0.4, "macro_f1/high": 0.6}
        folder = trial.evaluation(task, "s", trial.key)
        write_evaluation(folder, result, table)
        with whole_file(folder / "confusion_ridge.png") as part:
            part.write_bytes(DOT)

    def _tell_arm(self, key: str, config: TrialConfig) -> None:
        """Names the trial's arm in STUDY.json as a study's plan does."""
        definition = self.folder.definition
        if definition.get("arms"):
            name = arms_of(stored_study(definition))[config.model_dump_json()]
            arm_of = {**self.folder.arm_of, key: name}
            self.folder.accept({**definition, "arm_of": arm_of})
