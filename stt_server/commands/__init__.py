"""One module per command family. `stt_server.cli` imports one only when its command is asked for."""
