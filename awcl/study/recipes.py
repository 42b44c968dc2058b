"""Finding a recipe: a Python file whose `study()` returns a Study."""

import importlib
import importlib.util
import pkgutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from awcl.config import first_error
from awcl.errors import InputError
from awcl.study.space import Study


def file_of(name: str) -> Path | None:
    """The file that NAME is, or a recipe's in ./studies; None for one of the program's own."""
    for path in (Path(name), Path("studies") / f"{name}.py"):
        if path.suffix == ".py" and path.is_file():
            return path
    return None


def load(name: str) -> Study:
    """NAME is a file, or a recipe in ./studies, or one that is installed with the program."""
    path = file_of(name)
    if path is not None:
        with _told(str(path)):
            spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}", path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
    else:
        known = _installed()
        if name not in known:
            raise InputError(
                f"study {name!r}: no such file and no recipe; there is {', '.join(known)}"
            )
        module = importlib.import_module(f"studies.{name}")
    if not callable(getattr(module, "study", None)):
        raise InputError(f"study {name}: {module.__file__} defines no function study()")
    with _told(str(module.__file__)):
        made = module.study()
    if not isinstance(made, Study):
        raise InputError(
            f"study {name}: study() in {module.__file__} returns {type(made).__name__}, no Study"
        )
    return made


@contextmanager
def _told(file: str) -> Iterator[None]:
    """What a recipe raises becomes a line: it is written by users, and may raise anything."""
    try:
        yield
    except ValidationError as error:
        raise InputError(f"study {file}: {first_error(error)}") from error
    except InputError as error:
        raise InputError(f"study {file}: {error}") from error
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [at.lineno for at in frames if Path(at.filename) == Path(file).absolute()]
        where = f"{file}, line {lines[-1]}" if lines else file
        reason = " ".join([f"{type(error).__name__}:", *str(error).split()])
        raise InputError(f"study {where}: {reason}") from error


def _installed() -> list[str]:
    package = importlib.import_module("studies")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))
