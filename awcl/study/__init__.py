"""A study: its space, its trials, and their execution. The only package that imports ray."""
