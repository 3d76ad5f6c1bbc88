"""Metrics: those of the dashboard and the alerts exist, and several gateways' metrics merge into one text."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve.metrics import Metrics, merged

MONITORING = Path(__file__).parents[2] / "cluster" / "monitoring"


def answered(metrics: Metrics, version: str, seconds: float, status: int = 200) -> None:
    metrics.answered(
        version=version,
        endpoint="chat",
        status=status,
        seconds=seconds,
        first=seconds / 2,
        prompt_tokens=10,
        completion_tokens=5,
    )


@pytest.mark.parametrize("file", ["grafana.json", "alerts.yml"])
def test_metrics_of_dashboard_and_alerts_exist(file: str) -> None:
    metrics = Metrics("one")
    answered(metrics, "v1", 0.2)
    metrics.refused(429)
    metrics.load(1, 2)
    there = {
        sample.name for family in text_string_to_metric_families(metrics.text()) for sample in family.samples
    }
    asked = set(re.findall(r"\bratchet_\w+", (MONITORING / file).read_text()))
    assert asked and asked <= there


def test_metrics_of_several_gateways_merge_into_one_text() -> None:
    one, two = Metrics("one"), Metrics("two")
    answered(one, "v1", 0.2)
    answered(two, "v1", 0.4)
    answered(two, "v2", 0.4, status=500)
    families = list(text_string_to_metric_families(merged([one.text(), two.text()])))
    assert len({family.name for family in families}) == len(families), "each family appears once"
    requests = next(family for family in families if family.name == "ratchet_requests")
    found = {
        (s.labels["gateway"], s.labels["version"], s.labels["status"]): s.value
        for s in requests.samples
        if s.name.endswith("_total")
    }
    assert found == {("one", "v1", "200"): 1, ("two", "v1", "200"): 1, ("two", "v2", "500"): 1}
    assert (two.tallies["v2"].requests, two.tallies["v2"].failed) == (1, 1)
