"""Named datasets and their immutable snapshots: how one is made, told apart from another, and given away."""
