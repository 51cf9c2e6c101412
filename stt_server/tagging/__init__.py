"""The tagging queue: which clip is judged next, by whom, and when enough people agree. Described in its README."""
