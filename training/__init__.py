"""The training package: from a folder of clips to a measured, exported model bundle."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as in stt_server, which may be imported after onnxruntime here
