"""The worker: claims training jobs and does them, a stage after another, until it is told to stop. See README.md."""
