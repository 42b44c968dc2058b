"""The figure of confusions shows every count at its place, and no empty class."""

import numpy as np

from awcl.downstream import confusion


def test_counts_stand_where_truth_and_prediction_meet():
    counts = np.array([[5, 2, 0, 0], [0, 3, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    classes = np.array(["HCP", "SPINE_SAG", "never", "FLP"])
    axes = confusion.figure(counts, classes, "Planes").axes[0]
    columns = [label.get_text() for label in axes.get_xticklabels()]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert columns == ["HCP", "SPINE SAG", "FLP"] and rows == ["HCP  (7)", "SPINE SAG  (4)"]
    written = {text.get_position(): int(text.get_text()) for text in axes.texts}
    assert written == {(0, 0): 5, (1, 0): 2, (1, 1): 3, (2, 1): 1}
    np.testing.assert_allclose(axes.images[0].get_array(), [[5 / 7, 2 / 7, 0], [0, 3 / 4, 1 / 4]])
