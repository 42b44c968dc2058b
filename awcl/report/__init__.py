"""The report of a study: one HTML file, its figures as PNG, its tables as CSV; from storage alone.

    storage -> reading -> arms -> comparing -> summary, tables, charts -> page -> files

`writing.write` is all of it. Nothing is evaluated again and no image is read: what is compared are
stored predictions. No ray, no mlflow.
"""
