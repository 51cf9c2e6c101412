"""HTTP and WebSockets on one port: routes on one screen, the pump, uploads, errors, health. Only here is aiohttp."""
