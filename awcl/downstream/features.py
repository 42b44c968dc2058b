"""Features of whole frames, extracted once per encoder and frame, and kept by content."""

import hashlib
import json
import os
import warnings
from contextlib import suppress
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from awcl.data.pack import FramePack
from awcl.encoder import Encoder, features
from awcl.files import whole_file

NOTHING = np.zeros(0, np.int64), np.zeros((0, 0), np.float32)
KEPT = 32  # encoders whose features of one pack are kept; the least recently used goes


def cached_features(encoder: Encoder, pack: FramePack, rows: np.ndarray) -> np.ndarray:
    """(len(rows), width) float32, as `encoder.features` gives them.

    Kept beside the pack, under a digest of the encoder's weights: what one task has extracted, no
    other extracts again, nor does a later command. Only frames that are not there yet are read.
    Two processes at once lose nothing but time: each puts a whole file in place. A file that is cut
    off or damaged is warned of, and made anew.
    """
    file = pack.folder.parent / "features" / pack.digest / f"{weights_digest(encoder)}.npz"
    there, kept = _read(file)
    lacking = np.setdiff1d(rows, there)
    if len(lacking):
        new = features(encoder, pack, lacking)
        there = np.concatenate([there, lacking])
        kept = np.concatenate([kept, new]) if len(kept) else new
        order = np.argsort(there)
        there, kept = there[order], kept[order]
        _write(file, there, kept)
    else:
        with suppress(FileNotFoundError):  # another process has just removed it
            os.utime(file)
    return kept[np.searchsorted(there, rows)]


def write_features(file: Path, encoder: Encoder, pack: FramePack, rows: np.ndarray) -> None:
    """Parquet of frame_id and feature, a list of `width` float32.

    The metadata's entry `awcl` says which encoder and frames they are of.
    """
    values = cached_features(encoder, pack, rows)
    flat = pa.array(values.ravel(), pa.float32())
    feature = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    names = pa.array(pack.frames["frame_id"].iloc[rows], pa.string())
    about = {
        "encoder": weights_digest(encoder),
        "backbone": encoder.backbone,
        "size": encoder.size,
        "pack": pack.digest,
    }
    table = pa.table({"frame_id": names, "feature": feature}, metadata={"awcl": json.dumps(about)})
    with whole_file(file) as part:
        pq.write_table(table, part)


def weights_digest(encoder: Encoder) -> str:
    """16 hex digits of the backbone's name, its input and every weight and buffer."""
    about = f"{encoder.backbone} {encoder.size} {encoder.mean} {encoder.std}"
    digest = hashlib.sha256(about.encode())
    for name, value in sorted(encoder.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _read(file: Path) -> tuple[np.ndarray, np.ndarray]:
    if not file.is_file():
        return NOTHING
    try:
        with np.load(file, allow_pickle=False) as stored:
            return stored["rows"], stored["features"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        warnings.warn(f"{file}: cut off or damaged ({error}); it is made anew", stacklevel=3)
        return NOTHING


def _write(file: Path, rows: np.ndarray, values: np.ndarray) -> None:
    with whole_file(file) as part, open(part, "wb") as out:
        np.savez(out, rows=rows, features=values)
    for old in sorted(file.parent.glob("*.npz"), key=_used)[:-KEPT]:
        old.unlink(missing_ok=True)


def _used(file: Path) -> float:
    """When it was read or written last; long ago where another process has just removed it."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return 0
