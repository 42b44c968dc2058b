"""Runs a study from the head of a cluster: the one file that `ray submit` ships.

    ray submit cluster/aws.yaml cluster/submit_entry.py planes \
        --storage s3://BUCKET/studies --frames /home/awcl/data/packs/frames.parquet
    ray submit --tmux ...           and it goes on when this connection ends

What follows the file is what follows `awcl study run`. Ray joins it without quotes: a value with a
space or a `*` in it is for `awcl study submit`, which is also the way to a log that is kept. The
program and its recipes are in the image.
"""

import os
import sys

from awcl.__main__ import main
from awcl.commands.submitting import check_words
from awcl.errors import InputError

if __name__ == "__main__":
    try:
        check_words(sys.argv[1:])
    except InputError as error:
        print(f"awcl: {error}", file=sys.stderr)
        sys.exit(2)
    os.environ.setdefault("RAY_ADDRESS", "auto")  # this cluster, not a Ray of its own
    main(["study", "run", *sys.argv[1:]])
