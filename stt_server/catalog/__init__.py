"""The catalog: models, the live pointer, routing, lineage."""
