"""What the trainer's tests share."""

from tests.training.exported import deepspeech  # noqa: F401  a fixture for every test of the trainer
