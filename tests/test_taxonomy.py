"""The names of anatomies, their kinds, and what is said of a file that is wrong."""

import pytest

from awcl.errors import InputError
from awcl.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load()


@pytest.mark.parametrize(
    ("name", "coarse", "fine"),
    [
        ("4CH", "heart", "4CH"),
        ("trans_thalamic", "brain", "trans_thalamic"),
        ("brain", "brain", None),  # it has children and is not among them
        ("abdomen", "abdomen", "abdomen"),  # it is among its own
        ("other", None, None),
        ("BG", None, None),
        (None, None, None),
    ],
)
def test_a_label_has_a_class_at_each_level(name, coarse, fine):
    assert TAXONOMY.at(name, "coarse") == coarse
    assert TAXONOMY.at(name, "fine") == fine


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(
        InputError, match=r"unknown anatomy name 'trans_thalamus'; did you mean 'trans_thalamic'"
    ):
        TAXONOMY.check("trans_thalamus")


def test_an_unknown_level_is_refused():
    with pytest.raises(InputError, match="granularity 'medium': choose one of coarse, fine"):
        TAXONOMY.at("4CH", "medium")


def test_every_name_has_a_level_or_is_no_anatomy():
    for name in TAXONOMY.names:
        TAXONOMY.check(name)
        assert (TAXONOMY.at(name, "coarse") is None) == (name in TAXONOMY.no_anatomy)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[coarse", "not a TOML file"),
        ("name = 'x'", r"a \[coarse\] section with at least one kind is needed"),
        ("[course]\nheart = []", "unknown section 'course'"),
        ("[coarse]\nheart = 'LVOT'", "coarse.heart must be a list of names"),
        ("[coarse]\na = ['x']\nb = ['x']", "'x' is under both 'a' and 'b'"),
        ("no_anatomy = 5\n[coarse]\na = ['x']", r"\[no_anatomy\] must hold 'names', a list"),
        ("[coarse]\na = ['x']\n[no_anatomy]\nnames = 'BG'", r"\[no_anatomy\] must hold"),
        ("[coarse]\na = ['x']\n[no_anatomy]\nnames = [1]", r"\[no_anatomy\] must hold"),
        ("[coarse]\na = ['x']\n[no_anatomy]\nname = ['BG']", r"\[no_anatomy\] must hold"),
        ("[coarse]\na = ['b']\nb = ['c']", "'b' is a kind and a name of 'a'"),
        (
            "[coarse]\na = ['x']\n[no_anatomy]\nnames = ['x']",
            "'x' is an anatomy and listed as none",
        ),
    ],
)
def test_a_file_that_is_wrong_is_refused(tmp_path, text, said):
    file = tmp_path / "own.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=said):
        Taxonomy.load(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"own\.toml: No such file"):
        Taxonomy.load(tmp_path / "own.toml")


def test_the_digest_is_over_names_and_kinds_only(tmp_path):
    def digest(text: str) -> str:
        file = tmp_path / "own.toml"
        file.write_text(text)
        return Taxonomy.load(file).digest

    one = digest("name = 'one'\n[coarse]\na = ['x', 'y']\nb = ['z']")
    assert one == digest("name = 'two'\n[coarse]\nb = ['z']\na = ['y', 'x']\n[about]\nx = 'an x'")
    assert one != digest("[coarse]\na = ['x']\nb = ['y', 'z']")


def test_a_kind_covers_its_names_and_is_covered_by_all_of_them():
    assert TAXONOMY.covered([], "here") == set()
    assert TAXONOMY.covered(["4CH"], "here") == {"4CH"}
    assert TAXONOMY.covered(["face"], "here") == {"face", "NOSE_LIPS", "PROFILE"}
    assert TAXONOMY.covered(["NOSE_LIPS", "PROFILE"], "here") == {"face", "NOSE_LIPS", "PROFILE"}
    assert TAXONOMY.covered(["thorax", "LVOT"], "here") == {"thorax", "LVOT"}


def test_a_kind_without_finer_names_is_covered_by_its_own_alone(tmp_path):
    (tmp_path / "own.toml").write_text("[coarse]\nheart = ['4ch', 'lvot']\nabdomen = []")
    own = Taxonomy.load(tmp_path / "own.toml")
    assert own.covered(["4ch"], "here") == {"4ch"}
    assert own.covered(["abdomen"], "here") == {"abdomen"}


@pytest.mark.parametrize("name", ["4CHH", "BG"])
def test_what_is_no_anatomy_covers_nothing(name):
    with pytest.raises(InputError, match=f"here '{name}': no anatomy of the taxonomy 'fetal'"):
        TAXONOMY.covered(["LVOT", name], "here")
