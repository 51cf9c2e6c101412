"""Wyoming's own port, by which Home Assistant asks for speech to text. See README.md."""
