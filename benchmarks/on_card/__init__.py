"""What `benchmarks.gpu` measures, a subject a file; card.py is what they share."""
