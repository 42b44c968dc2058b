"""Where a study runs with many machines: one description of them, one file per place.

`cluster/site.toml` says what differs from lab to lab; `python -m cluster` writes from it the files
that Ray and Kubernetes read. README.md beside this file is the way from an empty account to
`ray down`.
"""
