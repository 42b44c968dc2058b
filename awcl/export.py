"""An encoder for other programs: safetensors for timm, or ONNX with the normalisation inside."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from awcl.encoder import Encoder, has_fixed_size
from awcl.errors import InputError
from awcl.files import whole_file

TOLERANCE = 1e-3  # of the largest feature: what another order of sums may make of float32


def to_safetensors(encoder: Encoder, out: Path) -> list[str]:
    """Writes weights under timm's names; returns what to tell of it: how to load, what to feed.

    The metadata's entry `awcl` says the same to programs: backbone, size, in_chans, mean, std.
    """
    with whole_file(out) as part:
        encoder.save(part)
    size = f", img_size={encoder.size}" if has_fixed_size(encoder.backbone) else ""
    return [
        f"timm.create_model({encoder.backbone!r}, in_chans=1, num_classes=0{size}, "
        f"checkpoint_path={str(out)!r})",
        f"input: (N, 1, {encoder.size}, {encoder.size}) float32, whole frames padded to a square, "
        f"(grey / 255 - {encoder.mean}) / {encoder.std}",
        f"output: (N, {encoder.width}) features, in evaluation mode",
    ]


def to_onnx(encoder: Encoder, out: Path) -> list[str]:
    """Writes an ONNX graph of any batch size; returns what to tell of it.

    The graph is run by onnxruntime before it is put in place, on batches of one and of three.
    Raises InputError where a backbone cannot be exported, or gives other features than ours.
    """
    import onnx

    was_training = encoder.training
    encoder.eval()
    example, batch = torch.rand(2, 1, encoder.size, encoder.size), torch.export.Dim("batch")
    try:
        with _quiet():
            program = torch.onnx.export(
                encoder, (example,), dynamo=True, verbose=False, dynamic_shapes=({0: batch},),
                input_names=["image"], output_names=["features"],
            )  # fmt: skip
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{encoder.backbone} cannot be exported to ONNX: {reason}") from error
    finally:
        encoder.train(was_training)
    graph, feed = program.model_proto, f"(N, 1, {encoder.size}, {encoder.size}) float32"
    lines = [
        f"input 'image': {feed}, whole frames padded to a square, grey / 255, so from 0 to 1",
        f"output 'features': (N, {encoder.width})",
    ]
    about = {"backbone": encoder.backbone, "size": encoder.size, "about": lines}
    graph.metadata_props.add(key="awcl", value=json.dumps(about))
    with whole_file(out) as part:
        onnx.save(graph, part)
        apart = _difference(encoder, part)
    return [*lines, f"onnxruntime gives the same features (apart by {apart:.0e} at most)"]


def _difference(encoder: Encoder, file: Path) -> float:
    """The largest difference of features between the graph and the encoder."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    rng, worst = torch.Generator().manual_seed(0), 0.0
    was_training = encoder.training
    encoder.eval()
    for images in (1, 3):
        x = torch.rand(images, 1, encoder.size, encoder.size, generator=rng)
        with torch.inference_mode():
            ours = encoder(x).numpy()
        (theirs,) = session.run(None, {"image": x.numpy()})
        apart = np.abs(theirs - ours).max() if theirs.shape == ours.shape else np.inf
        if not apart <= TOLERANCE * np.abs(ours).max():
            raise InputError(f"{encoder.backbone}: its ONNX graph gives other features ({apart})")
        worst = max(worst, float(apart))
    encoder.train(was_training)
    return worst


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes about operators that nobody here uses."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(action="ignore"):
        yield
    logging.disable(before)
