import threading

from stt_server.threads import pool


def test_all_threads_of_a_pool_run_before_anything_is_asked_of_it():
    with pool(3, "earloop-test-pool"):
        assert sum(thread.name.startswith("earloop-test-pool") for thread in threading.enumerate()) == 3
