"""The training package: from a folder of clips to a measured, exported model bundle."""
