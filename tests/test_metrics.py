import asyncio
import threading

from stt_server.metrics import Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"earloop_{name}", labels)


def test_a_stream_counts_as_open_until_it_closes_and_as_one_for_ever():
    metrics = Metrics()
    metrics.stream_opened("vosk")
    metrics.stream_opened("vosk")
    metrics.stream_closed("vosk")
    assert value(metrics, "streams_open", protocol="vosk") == 1
    assert value(metrics, "streams_total", protocol="vosk") == 2


def test_a_final_counts_its_utterance_and_its_latency():
    metrics = Metrics()
    metrics.final(0.12)
    assert value(metrics, "utterances_total") == 1
    assert value(metrics, "final_latency_seconds_bucket", le="0.15") == 1
    assert value(metrics, "final_latency_seconds_bucket", le="0.1") == 0


def test_a_batch_counts_its_size_how_long_it_waited_and_how_long_it_took():
    metrics = Metrics()
    metrics.batch(16, lag_s=0.03)
    metrics.step(0.015)
    assert value(metrics, "batch_size_sum") == 16
    assert value(metrics, "queue_lag_seconds_sum") == 0.03
    assert value(metrics, "step_seconds_bucket", le="0.02") == 1
    assert value(metrics, "step_seconds_bucket", le="0.01") == 0


def test_failures_and_refusals_are_told_apart_by_their_code():
    metrics = Metrics()
    metrics.failed("bad_audio")
    metrics.refused("full")
    assert value(metrics, "failures_total", code="bad_audio") == 1
    assert value(metrics, "failures_total", code="busy") is None
    assert value(metrics, "refused_total", reason="full") == 1


def test_two_servers_in_one_process_do_not_share_their_numbers():
    first, second = Metrics(), Metrics()
    first.audio(2.5)
    assert value(first, "audio_seconds_total") == 2.5
    assert value(second, "audio_seconds_total") == 0


def test_render_is_the_exposition_text_with_the_version_and_the_process():
    text = Metrics("0.1.0").render().decode()
    assert 'earloop_build_info{version="0.1.0"} 1.0' in text
    assert "process_cpu_seconds_total" in text


async def test_tasks_are_those_of_the_loop_that_asks():
    metrics = Metrics()
    before = value(metrics, "tasks") or 0
    task = asyncio.create_task(asyncio.Event().wait())
    assert value(metrics, "tasks") == before + 1
    task.cancel()
    await asyncio.wait({task})
    assert value(metrics, "tasks") == before
    assert await asyncio.to_thread(value, metrics, "tasks") == 0


def test_threads_are_counted_while_they_run():
    metrics, end = Metrics(), threading.Event()
    before = value(metrics, "threads") or 0
    thread = threading.Thread(target=end.wait)
    thread.start()
    assert value(metrics, "threads") == before + 1
    end.set()
    thread.join()
