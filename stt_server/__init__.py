"""Earloop: a speech-to-text server for voice assistants that gets better from the people who use it."""
