"""What is read of /metrics: the present names, former ones, several engines, and anything at all."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from evolve.vllm.metrics import Reading, read_metrics, samples

PRESENT = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a\\"b}c"} 3.0
vllm:num_requests_running{engine="1",model_name="a\\"b}c"} 2.0
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 900.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.5
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.25
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 1000.0
vllm:prefix_cache_queries_created{engine="0",model_name="m"} 1.7e+09
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 800.0
vllm:external_prefix_cache_queries_total{engine="0",model_name="m"} 7.0
vllm:external_prefix_cache_hits_total{engine="0",model_name="m"} 7.0
vllm:prompt_tokens_total{engine="0",model_name="m"} 1e+03
vllm:prompt_tokens_by_source_total{engine="0",source="local_compute"} 7.0
vllm:generation_tokens_total{engine="0",model_name="m"} 12345.0
vllm:request_generation_tokens_bucket{engine="0",le="+Inf"} 7.0
vllm:request_generation_tokens_sum{engine="0"} 7.0
"""


def test_the_present_names_are_read_and_engines_added_up() -> None:
    reading = read_metrics(PRESENT)
    assert reading == Reading(running=5, waiting=1, kv_use=0.375, generated=12345, prompt=1000, queries=1000, hits=800)
    assert reading.prefix_hit_rate == 0.8


def test_former_names_counters_without_total_and_another_name_space_are_read() -> None:
    text = """\
vllm:num_requests_running 1
vllm:gpu_cache_usage_perc 0.75 1700000000000
vllm:gpu_prefix_cache_queries 10
vllm:gpu_prefix_cache_hits 4
vllm_generation_tokens 99
"""
    assert read_metrics(text) == Reading(running=1, kv_use=0.75, generated=99, queries=10, hits=4)


def test_a_name_that_only_ends_as_known_is_taken_and_an_impostor_is_not() -> None:
    assert read_metrics("vllm:engine_num_requests_running 4\n").running == 4
    assert read_metrics("vllm:external_prefix_cache_hits_total 4\n").hits is None
    assert read_metrics("vllm:request_generation_tokens_sum 4\n").generated is None


def test_what_is_not_told_is_none() -> None:
    assert read_metrics("") == Reading()
    assert Reading(queries=0, hits=0).prefix_hit_rate is None
    assert Reading(queries=5).prefix_hit_rate is None


def test_values_that_are_no_numbers_are_left_out() -> None:
    assert samples('a NaN\nb +Inf\nc{x="1"} 2\nd oops\ne\n') == {"c": [2.0]}


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    read_metrics(text)


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False))
def test_any_label_value_may_stand_before_the_number(label: str, value: float) -> None:
    escaped = label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    if escaped.splitlines() not in ([], [escaped]):
        return  # a character that Python takes for a line's end, and Prometheus does not
    assert samples(f'name{{model="{escaped}",engine="0"}} {value!r}\n') == {"name": [value]}


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=5), st.text(string.ascii_lowercase, min_size=1))
def test_counters_of_several_engines_add_up(values: list[int], label: str) -> None:
    lines = [f'vllm:generation_tokens_total{{{label}="{at}"}} {value}' for at, value in enumerate(values)]
    assert read_metrics("\n".join(lines)).generated == sum(values)
