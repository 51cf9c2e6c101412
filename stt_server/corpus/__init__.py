"""Collections of recorded speech: manifests in three layouts, corpora by name, splits, and checks before training."""
