"""Finding a recipe: a Python file whose `study()` returns a Study."""

import importlib
import importlib.util
import pkgutil
from pathlib import Path

from pydantic import ValidationError

from awcl.config import first_error
from awcl.errors import InputError
from awcl.study.space import Study


def load(name: str) -> Study:
    """NAME is a file, or a recipe in ./studies, or one that is installed with the program."""
    for path in (Path(name), Path("studies") / f"{name}.py"):
        if path.suffix == ".py" and path.is_file():
            spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}", path)
            module = importlib.util.module_from_spec(spec)
            try:
                spec.loader.exec_module(module)
            except (SyntaxError, ImportError) as error:
                raise InputError(f"study {path}: {error}") from error
            break
    else:
        known = _installed()
        if name not in known:
            raise InputError(
                f"study {name!r}: no such file and no recipe; there is {', '.join(known)}"
            )
        module = importlib.import_module(f"studies.{name}")
    if not callable(getattr(module, "study", None)):
        raise InputError(f"study {name}: {module.__file__} defines no function study()")
    try:
        return module.study()
    except ValidationError as error:
        raise InputError(f"study {name}: {first_error(error)}") from error


def _installed() -> list[str]:
    package = importlib.import_module("studies")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))
