"""Studies that rows run: by the command, as a user does."""

from pathlib import Path
from typing import Any

from awcl.records import StudyFolder
from benchmarks.harness import Missing

RECIPE = '''"""A study of the benchmarks."""

from awcl.study.space import Study


def study() -> Study:
    return Study(**{fields!r})
'''


def run(folder: Path, fields: dict[str, Any], storage: Path, *flags: str) -> StudyFolder:
    """Runs the study of these fields (`awcl.study.space.Study`); its recipe goes into `folder`.

    Raises Missing where it fails; it has said why.
    """
    from awcl.__main__ import main

    recipe = folder / f"{fields['name']}.py"
    recipe.write_text(RECIPE.format(fields=fields), encoding="utf-8")
    try:
        main(["study", "run", str(recipe), "--storage", str(storage), *flags])
    except SystemExit as ended:
        if ended.code:
            raise Missing(f"the study of the benchmark failed, exit code {ended.code}") from ended
    return StudyFolder(storage / fields["name"])
