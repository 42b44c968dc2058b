"""Anatomy names, fine -> coarse, and which names are no anatomy. The names are in taxonomy.toml."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from awcl import hashing
from awcl.errors import InputError, nearest

BUILTIN = Path(__file__).with_name("taxonomy.toml")
LEVELS = ("coarse", "fine")


@dataclass(frozen=True)
class Taxonomy:
    """A two-level tree of anatomy names.

    kinds: coarse kind -> the fine names under it. no_anatomy: labels such as background.
    """

    name: str
    kinds: dict[str, tuple[str, ...]]
    no_anatomy: frozenset[str]

    @classmethod
    def load(cls, source: str | Path = "fetal") -> "Taxonomy":
        """The built-in taxonomy ("fetal"), or one from a TOML file of the same form.

        Raises InputError where the file is missing, is no TOML, or contradicts itself.
        """
        path = BUILTIN if str(source) == "fetal" else Path(source)
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(
                f"taxonomy {path}: {error.strerror}; give 'fetal' or a file"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"taxonomy {path}: not a TOML file ({error})") from error
        return cls._from_dict(data, path)

    @classmethod
    def _from_dict(cls, data: dict, path: Path) -> "Taxonomy":
        unknown = sorted(set(data) - {"name", "coarse", "no_anatomy", "about"})
        if unknown:
            raise InputError(f"taxonomy {path}: unknown section {unknown[0]!r}; see {BUILTIN}")
        kinds = data.get("coarse")
        if not isinstance(kinds, dict) or not kinds:
            raise InputError(
                f"taxonomy {path}: a [coarse] section with at least one kind is needed"
            )
        for kind, names in kinds.items():
            if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
                raise InputError(f"taxonomy {path}: coarse.{kind} must be a list of names")
        no_anatomy = _no_anatomy(data.get("no_anatomy", {"names": []}), path)
        taxonomy = cls(
            name=str(data.get("name", path.stem)),
            kinds={kind: tuple(names) for kind, names in kinds.items()},
            no_anatomy=frozenset(no_anatomy),
        )
        taxonomy._check(path)
        return taxonomy

    def _check(self, path: Path) -> None:
        seen: dict[str, str] = {}
        for kind, names in self.kinds.items():
            for name in names:
                if name in seen:
                    raise InputError(
                        f"taxonomy {path}: {name!r} is under both {seen[name]!r} and {kind!r}; "
                        "a name has one kind"
                    )
                if name != kind and name in self.kinds:
                    raise InputError(f"taxonomy {path}: {name!r} is a kind and a name of {kind!r}")
                seen[name] = kind
        both = sorted(self.no_anatomy & (set(seen) | set(self.kinds)))
        if both:
            raise InputError(f"taxonomy {path}: {both[0]!r} is an anatomy and listed as none")

    @cached_property
    def _kind_of(self) -> dict[str, str]:
        of = {kind: kind for kind in self.kinds}
        of.update({name: kind for kind, names in self.kinds.items() for name in names})
        return of

    @property
    def names(self) -> list[str]:
        """Every label a frame may carry, in the order of the file, no-anatomy labels last."""
        return [*self._kind_of, *sorted(self.no_anatomy)]

    def at(self, name: str | None, level: str) -> str | None:
        """The class of a label at 'coarse' or 'fine'; None where it is unknown or no anatomy.

        'brain' is unknown at 'fine', because it has children and is not among them.
        """
        if level not in LEVELS:
            raise InputError(f"granularity {level!r}: choose one of {', '.join(LEVELS)}")
        if not isinstance(name, str) or name in self.no_anatomy:
            return None
        self.check(name)
        kind = self._kind_of[name]
        if level == "coarse":
            return kind
        return name if name in self.kinds[kind] else None

    def covered(self, names: Iterable[str], where: str) -> set[str]:
        """Every label that these names cover: a kind covers the names under it.

        A kind whose names are all covered is so too; one without names only by its own. Raises
        InputError, which names `where`, for a name that is no anatomy of this taxonomy.
        """
        for name in names:
            if name not in self._kind_of:
                hint = nearest(name, self._kind_of)
                raise InputError(
                    f"{where} {name!r}: no anatomy of the taxonomy {self.name!r}{hint}"
                )
        given = set(names)
        found = given | {name for name, kind in self._kind_of.items() if kind in given}
        return found | {
            kind for kind, fine in self.kinds.items() if fine and found.issuperset(fine)
        }

    def check(self, name: str) -> None:
        """Raises InputError, with the nearest known name, where a label is not in the taxonomy."""
        if name in self._kind_of or name in self.no_anatomy:
            return
        hint = nearest(name, self.names)
        raise InputError(f"unknown anatomy name {name!r}{hint} (taxonomy {self.name!r})")

    @cached_property
    def digest(self) -> str:
        """12 hex digits over the names and their kinds; part of a trial's key."""
        kinds = {kind: sorted(names) for kind, names in self.kinds.items()}
        return hashing.of_json([kinds, sorted(self.no_anatomy)])


def _no_anatomy(section: object, path: Path) -> list[str]:
    names = section.get("names") if isinstance(section, dict) and len(section) == 1 else None
    if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
        raise InputError(f"taxonomy {path}: [no_anatomy] must hold 'names', a list, and only that")
    return names
