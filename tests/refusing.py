"""Programs that may not import some packages."""


def refusing(*packages: str) -> str:
    """The first lines of a program in which to import any of these raises ImportError."""
    return f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ImportError(f"{{name}} is not to be imported here")

sys.meta_path.insert(0, Refuse())
"""
