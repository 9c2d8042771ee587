"""What a predictor counts, read as Prometheus reads it."""

import re

import pytest

from octavo.serving.metrics import PredictorMetrics, render, together

_HELP = re.compile(r"# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (\S.*)")
_TYPE = re.compile(r"# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)")
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|\Z)')

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> Samples:
    """The samples of an exposition in text format 0.0.4, which must hold to its rules."""
    assert text.endswith("\n")
    types: dict[str, str] = {}
    helped: set[str] = set()
    samples: Samples = {}
    for line in text.splitlines():
        if found := _HELP.fullmatch(line):
            assert found[1] not in helped
            helped.add(found[1])
        elif found := _TYPE.fullmatch(line):
            assert found[1] not in types
            types[found[1]] = found[2]
        else:
            name, labels, value = sample(line)
            family = name if name in types else re.sub(r"_(bucket|sum|count)\Z", "", name)
            assert types[family] == "histogram" if family != name else types[family] != "histogram"
            assert list(types)[-1] == family, "samples of a family stand together, after its type"
            assert (name, labels) not in samples
            samples[name, labels] = value
    assert helped == set(types)
    return samples


def sample(line: str) -> tuple[str, tuple[tuple[str, str], ...], float]:
    found = _SAMPLE.fullmatch(line)
    assert found, line
    labels = _LABEL.findall(found[2] or "")
    assert "".join(f'{name}="{value}",' for name, value in labels).rstrip(",") == (found[2] or "")
    return found[1], tuple(labels), float(found[3])


def test_an_idle_predictors_metrics_are_prometheus_text() -> None:
    samples = parsed(PredictorMetrics().render())
    assert samples["octavo_prediction_records_lost_total", ()] == 0
    assert samples["octavo_degraded_requests_total", ()] == 0


def test_predictions_and_failures_are_counted_by_version_and_arm() -> None:
    metrics = PredictorMetrics()
    for version, arm in ((1, "live"), (2, "canary"), (1, "live")):
        metrics.predictions("eta", model="delay", version=version, arm=arm, made=3, failed=version - 1)
    samples = parsed(metrics.render())
    live, canary = (
        (("deployment", "eta"), ("model", "delay"), ("version", version), ("arm", arm))
        for version, arm in (("1", "live"), ("2", "canary"))
    )
    assert [samples["octavo_predictions_total", labels] for labels in (live, canary)] == [6, 3]
    assert [samples["octavo_prediction_failures_total", labels] for labels in (live, canary)] == [0, 1]


def test_requests_are_counted_by_status() -> None:
    metrics = PredictorMetrics()
    for status in (200, 422, 200):
        metrics.request(status, duration_s=0.001)
    samples = parsed(metrics.render())
    assert samples["octavo_predictor_requests_total", (("status", "200"),)] == 2
    assert samples["octavo_predictor_requests_total", (("status", "422"),)] == 1


@pytest.mark.parametrize("durations", [[], [0.0001], [0.00005, 0.0003, 0.0005, 0.7, 30.0]])
def test_durations_are_a_histogram_whose_buckets_add_up(durations: list[float]) -> None:
    metrics = PredictorMetrics()
    for duration_s in durations:
        metrics.request(200, duration_s=duration_s)
    samples = parsed(metrics.render())
    name = "octavo_predictor_request_duration_seconds"
    buckets = {dict(labels)["le"]: value for (found, labels), value in samples.items() if found == f"{name}_bucket"}
    assert buckets == {bound: sum(d <= float(bound) for d in durations) for bound in buckets}
    assert list(buckets)[-1] == "+Inf"
    assert samples[f"{name}_count", ()] == len(durations)
    assert samples[f"{name}_sum", ()] == pytest.approx(sum(durations), abs=1e-6)


def test_what_is_true_now_is_read_when_it_is_asked_for() -> None:
    metrics, waiting = PredictorMetrics(), [0.0, 0.25]
    metrics.gauge("octavo_predictor_queue_seconds", "How far the event loop is behind.", lambda: waiting[-1])
    samples = parsed(metrics.render())
    assert samples["octavo_predictor_queue_seconds", ()] == 0.25
    assert samples["process_resident_memory_bytes", ()] > 1_000_000


def test_those_of_several_workers_stand_under_their_labels() -> None:
    workers = {number: PredictorMetrics() for number in (1, 0)}
    for number, metrics in workers.items():
        metrics.request(200, duration_s=0.001 + number)
    samples = parsed(render(together({number: metrics.families() for number, metrics in workers.items()})))
    name = "octavo_predictor_requests_total"
    assert [samples[name, (("worker", worker), ("status", "200"))] for worker in "01"] == [1, 1]
    assert samples["octavo_predictor_request_duration_seconds_sum", (("worker", "1"),)] == pytest.approx(1.001)
