"""What judges an encoder: one file per kind of task. Runs without ray and without mlflow."""
