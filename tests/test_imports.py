"""Who may import what: the library without ray and mlflow, the program without anything heavy."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from refusing import refusing

ROOT = Path(__file__).parents[1]

BLOCK = refusing("ray", "mlflow")


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_block_blocks():
    for name in ("ray", "mlflow", "ray.train", "awcl.study.executor"):
        done = subprocess.run(
            [sys.executable, "-c", f"{BLOCK}\nimport {name}"], capture_output=True, text=True
        )
        assert "is not to be imported here" in done.stderr, name


@pytest.mark.slow
def test_pre_training_and_judging_need_neither_ray_nor_mlflow():
    """Every module of the two packages, and all that `awcl pretrain` and `awcl evaluate` import."""
    python(
        BLOCK
        + """
import ast, importlib, inspect, pkgutil
import awcl.data, awcl.downstream, awcl.pretrain
for package in (awcl.data, awcl.downstream, awcl.pretrain):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
from awcl import commands
for command in (commands.frames, commands.audit, commands.pack, commands.pretrain,
                commands.evaluate, commands.embed, commands.export):
    for node in ast.walk(ast.parse(inspect.getsource(command))):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for name in node.names:
                if not hasattr(module, name.name):
                    importlib.import_module(f"{node.module}.{name.name}")
assert "awcl.pretrain.loop" in sys.modules and "awcl.downstream.tasks.planes" in sys.modules
assert not {"ray", "mlflow"} & set(sys.modules)
"""
    )


def test_the_program_starts_without_anything_heavy():
    """`awcl --help` is to come at once."""
    loaded = python("import sys, awcl.__main__; print(*sys.modules)").split()
    heavy = {"torch", "ray", "mlflow", "pandas", "timm", "numpy", "sklearn", "cv2"}
    assert "awcl.commands" in loaded
    assert not heavy & set(loaded)


def test_imports_go_one_way():
    program = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("import-linter is not installed")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
