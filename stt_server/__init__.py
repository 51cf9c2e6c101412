"""Earloop: a speech-to-text server for voice assistants that gets better from the people who use it."""

import os

# From 1.29 on onnxruntime reports its use to Microsoft, unless told otherwise before it is imported; a server that keeps
# nothing without consent sends nothing either. Here, since nothing of ours is imported before its package.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
