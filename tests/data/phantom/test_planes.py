"""Planes: all of the taxonomy's own, alike where they are of one kind, and easily added to."""

from itertools import combinations

import numpy as np
import pytest

from awcl.data.phantom import growth
from awcl.data.phantom import planes as registry
from awcl.data.phantom.fetus import Fetus
from awcl.data.phantom.planes import plane, planes
from awcl.data.phantom.scan import MASK_CLASSES, Settings, scan
from awcl.data.phantom.shapes import Structure, ellipse
from awcl.data.phantom.tissues import NUMBER
from awcl.data.phantom.writing import write
from awcl.errors import InputError
from awcl.taxonomy import Taxonomy

ANATOMIES = {
    "3VT", "4CH", "ACP", "FLP", "HCP", "KIDNEYS_CORONAL", "LVOT", "NOSE_LIPS", "PROFILE", "RVOT",
    "SOB", "SPINE_COR", "SPINE_SAG",
}  # fmt: skip


def fetus(trimester: str = "second", number: int = 0) -> Fetus:
    size = growth.draw(trimester, np.random.default_rng(number))
    return Fetus(size, trimester == "first", str(number))


def drawn(anatomy: str, of: Fetus) -> list[Structure]:
    return list(planes()[anatomy].draw(of))


def same(one: Structure, other: Structure) -> bool:
    return (
        (one.tissue, one.reach, one.mask) == (other.tissue, other.reach, other.mask)
        and one.outline.shape == other.outline.shape
        and np.allclose(one.outline, other.outline)
    )


def shared(one: str, other: str, of: Fetus) -> float:
    """The share of the structures of `one` that `other` has too."""
    there = drawn(other, of)
    own = drawn(one, of)
    return sum(any(same(s, t) for t in there) for s in own) / len(own)


@pytest.fixture
def reader(monkeypatch):
    """Planes that a test adds are gone after it."""
    monkeypatch.setattr(registry, "_PLANES", dict(planes()))
    planes.cache_clear()
    yield
    monkeypatch.undo()
    planes.cache_clear()


def test_the_thirteen_planes_are_there_and_each_is_a_fine_name_of_the_taxonomy():
    taxonomy = Taxonomy.load()
    assert set(planes()) >= ANATOMIES
    for name, made in planes().items():
        assert made.anatomy == name == taxonomy.at(name, "fine")
        assert taxonomy.at(name, "coarse") in {
            "heart", "brain", "face", "abdomen", "spine", "femur"
        }  # fmt: skip


@pytest.mark.parametrize("trimester", ["first", "second"])
@pytest.mark.parametrize("anatomy", sorted(ANATOMIES))
def test_a_plane_is_outlines_of_known_tissue_the_same_each_time(anatomy, trimester):
    structures = drawn(anatomy, fetus(trimester))
    for structure in structures:
        assert structure.tissue in NUMBER
        assert structure.mask in (None, "", *MASK_CLASSES)
        assert structure.reach > 0
        assert structure.outline.ndim == 2 and np.isfinite(structure.outline).all()
    again = drawn(anatomy, fetus(trimester))
    assert len(again) == len(structures) and all(map(same, structures, again))
    other = drawn(anatomy, fetus(trimester, number=1))
    assert len(other) != len(structures) or not all(map(same, structures, other))


@pytest.mark.parametrize("anatomy", sorted(ANATOMIES))
def test_a_plane_shows_a_part_of_the_fetus_that_has_a_mask(anatomy):
    assert {s.mask for s in drawn(anatomy, fetus())} & set(MASK_CLASSES)


@pytest.mark.parametrize(
    ("kind", "least"),
    [(("HCP", "SOB"), 0.5), (("4CH", "LVOT", "RVOT"), 0.5), (("3VT", "4CH"), 0.4)],
)
def test_fine_classes_of_one_kind_share_structures_and_differ(kind, least):
    for number in range(3):
        for one, other in combinations(kind, 2):
            of = fetus(number=number)
            assert max(shared(one, other, of), shared(other, one, of)) >= least
            assert shared(one, other, of) < 1 or shared(other, one, of) < 1


def test_both_head_planes_have_exactly_the_skull_of_the_fetus():
    for trimester, tissue in (("first", "young skull"), ("second", "skull")):
        of = fetus(trimester)
        one, other = (
            next(s for s in drawn(name, of) if s.tissue == tissue) for name in ("HCP", "SOB")
        )
        assert same(one, other)
        long, wide = np.ptp(one.outline, axis=0)
        assert long == pytest.approx(of.size.ofd, rel=0.01)
        assert wide == pytest.approx(of.size.bpd, rel=0.01)


def test_the_heart_planes_have_one_thorax_and_the_lower_three_one_heart():
    of = fetus()
    thorax = [next(s for s in drawn(n, of) if s.mask == "body") for n in ("3VT", "4CH", "LVOT")]
    assert all(same(thorax[0], other) for other in thorax[1:])
    hearts = [next(s for s in drawn(n, of) if s.mask == "heart") for n in ("4CH", "LVOT", "RVOT")]
    assert all(same(hearts[0], other) for other in hearts[1:])
    assert not any(s.mask == "heart" for s in drawn("3VT", of))


def test_both_spine_planes_are_rows_of_the_same_vertebrae():
    """Fifteen pairs of bone centres of the same sizes; rows lie otherwise in each plane."""
    of = fetus()
    sizes = []
    for name in ("SPINE_COR", "SPINE_SAG"):
        bones = [s.outline for s in drawn(name, of) if s.tissue == "bone" and len(s.outline) == 12]
        around = [np.hypot(*np.diff(b, axis=0).T).sum() for b in bones]
        assert len(bones) == 30
        sizes.append(around)
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-6)
    assert shared("SPINE_COR", "SPINE_SAG", of) < 0.5


def test_planes_of_different_kinds_share_next_to_nothing():
    of = fetus()
    for one, other in (("HCP", "4CH"), ("FLP", "SPINE_SAG"), ("PROFILE", "ACP")):
        assert shared(one, other, of) == 0


def test_a_reader_adds_an_anatomy_with_one_function(reader, tmp_path):
    @plane("cervix", turn=20)
    def cervix(f):
        r = f.size.ac / 8
        yield Structure("womb", ellipse(0, 0, 1.6 * r, r), reach=r, mask="body")
        yield Structure("line", ellipse(0, 0, 1.2 * r, 0.08 * r), reach=0.5 * r)

    settings = Settings(size=32, seconds=3, rate=10, labelled=0.5)
    shown = [name for number in range(3) for name in scan(number, settings).anatomy]
    assert "cervix" in shown and ANATOMIES & set(shown)
    table = write(tmp_path / "p", 3, settings, Taxonomy.load(), quiet=True)
    assert shown.count("cervix") == (table.frames["anatomy"] == "cervix").sum()
    made = scan(0, settings)
    index = next(k for k, name in enumerate(made.anatomy) if name == "cervix")
    assert (made.mask(index) == 1 + MASK_CLASSES.index("body")).any()
    assert made.frame(index).any()


def test_an_anatomy_that_the_taxonomy_lacks_is_refused_before_anything_is_made(reader, tmp_path):
    @plane("cervx", turn=20)
    def cervix(f):
        yield Structure("womb", ellipse(0, 0, 20, 10), reach=10)

    with pytest.raises(InputError, match=r"unknown anatomy name 'cervx'; did you mean 'cervix'\?"):
        write(tmp_path / "p", 1, Settings(size=32, seconds=1), Taxonomy.load(), quiet=True)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("tissue", "mask", "said"),
    [("wom", None, r"plane cervix: no tissue 'wom' \(there: soft, "),
     ("womb", "neck", r"plane cervix: no mask class 'neck' \(there: head, ")],
)  # fmt: skip
def test_a_structure_of_an_unknown_kind_is_refused_before_anything_is_made(
    reader, tmp_path, tissue, mask, said
):
    @plane("cervix", turn=20)
    def cervix(f):
        yield Structure(tissue, ellipse(0, 0, 20, 10), reach=10, mask=mask)

    with pytest.raises(InputError, match=said):
        write(tmp_path / "p", 1, Settings(size=32, seconds=1), Taxonomy.load(), quiet=True)
    assert not (tmp_path / "p").exists()


def test_a_plane_that_is_drawn_twice_is_refused(reader):
    with pytest.raises(InputError, match="plane 'FLP' is drawn twice: by femur and by "):
        plane("FLP", turn=20)(lambda f: iter(()))
