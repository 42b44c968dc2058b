"""`python -m cluster`: writes aws.yaml, gcp.yaml, kuberay.yaml and onprem.yaml from site.toml.

python -m cluster                                   cluster/site.toml, beside it
python -m cluster --site lab.toml --out lab         another lab's
"""

import argparse
import sys
from pathlib import Path

from awcl.errors import InputError
from cluster.model import HERE, SITE, load
from cluster.rendering import rendered


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, default=SITE, metavar="SITE.toml")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR")
    options = parser.parse_args()
    try:
        files = rendered(load(options.site))
        options.out.mkdir(parents=True, exist_ok=True)
    except InputError as error:
        sys.exit(f"cluster: {error}")
    except OSError as error:
        sys.exit(f"cluster: --out {options.out}: {error.strerror}; give another")
    for name, text in files.items():
        (options.out / name).write_text(text, encoding="utf-8")
        print(options.out / name)


if __name__ == "__main__":
    main()
