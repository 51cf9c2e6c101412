"""The numeric floor, shared by serving and training: numpy and onnxruntime only, no asyncio, SQL, settings or torch."""
