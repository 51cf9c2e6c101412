from stt_server.datasets.coverage import choose

LINES = ["turn on the light", "turn on the light now", "stop", "turn on", "", "?!", "play jazz quietly"]


def test_what_adds_most_comes_first_and_what_adds_nothing_does_not_come():
    assert choose(LINES, 10) == ["turn on the light now", "play jazz quietly", "stop"]
    assert choose(LINES, 1) == ["turn on the light now"]


def test_of_sentences_that_add_the_same_the_shorter_comes_first():
    assert choose(["stop stop stop", "stop stop"], 2) == ["stop stop"]


def test_out_of_many_sentences_few_have_all_the_words():
    words = [f"w{chr(97 + i)}{chr(97 + j)}" for i in range(12) for j in range(12)]
    many = [" ".join(words[(i + k) % 144] for k in range(6)) for i in range(0, 144, 2)]
    chosen = choose(many, 144)
    assert {word for each in chosen for word in each.split()} == set(words)
    assert len(chosen) <= 30
