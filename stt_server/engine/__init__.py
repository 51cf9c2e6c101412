"""Streams in, batches through the model, events out: `Engines` is what a server opens sessions on."""
