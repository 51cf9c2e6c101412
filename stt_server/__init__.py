"""Earloop: a speech-to-text server for voice assistants that gets better from the people who use it."""

import os

# From 1.29 on onnxruntime reports its use to Microsoft unless it is told otherwise before its import. What keeps
# nothing without consent sends nothing either. Here, since our package is imported before anything in it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
