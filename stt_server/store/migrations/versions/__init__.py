"""The steps, oldest first. What was released once is not edited any more."""
