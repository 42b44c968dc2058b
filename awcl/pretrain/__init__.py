"""Pre-training: groups, loss, methods, loop. Runs without ray and without mlflow."""
