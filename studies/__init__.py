"""Recipes: one Python file per study. A recipe defines `study()` and imports only awcl, studies."""
