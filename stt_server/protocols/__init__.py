"""Wire formats, each a codec that never touches a socket. README.md documents them."""
