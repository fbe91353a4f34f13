"""Models find their family, and the table holds only what vLLM knows."""

from __future__ import annotations

import re

import pytest

from evolve.vllm import families, family_of

TOOLS = """
apertus cohere_command3 cohere_command4 deepseek_v3 deepseek_v31 deepseek_v32 deepseek_v4 deepseek_v41 dots
ernie45 functiongemma gemma4 gigachat3 glm45 glm47 granite granite-20b-fc granite4 hermes hf hunyuan_a13b
hy_v3 hy_v4 inkling internlm jamba k2_horizon kimi_k2 kimi_k3 lfm2 ling3 llama3_json llama4_json
llama4_pythonic longcat mimo minicpm5 minimax_m2 minimax_m3 mistral muse_glimmer olmo3 openai phi4_mini_json
plamo3 poolside_v1 pythonic qwen3_coder qwen3_json qwen3_xml seed_oss step3 step3p5 xlam
"""
THOUGHTS = """
cohere_command3 cohere_command4 deepseek_r1 deepseek_v3 deepseek_v4 deepseek_v41 ernie45 gemma4 glm45 glm47
granite granite_thinking_parser hf holo2 hunyuan_a13b hy_v3 hy_v4 inkling k2_horizon kimi_k2 kimi_k3 ling3
mimo minicpmv minimax_m2 minimax_m2_append_think minimax_m3 mistral muse_glimmer nemotron_v3 olmo3
openai_gptoss plamo3 poolside_v1 qwen3 seed_oss step3 step3p5
"""
"""The parsers that vLLM 0.32 registers."""


@pytest.mark.parametrize(
    ("model", "tools", "thoughts"),
    [
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3_xml", None),
        ("Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8", "qwen3_xml", None),
        ("Qwen/Qwen3.6-27B", "qwen3_coder", "qwen3"),
        ("Qwen/Qwen3-8B", "hermes", "qwen3"),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", "hermes", None),
        ("Qwen/Qwen3-Next-80B-A3B-Thinking", "hermes", "qwen3"),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", "hermes", None),
        ("Qwen/Qwen2.5-Coder-32B-Instruct", "hermes", None),
        ("Qwen/QwQ-32B", "hermes", "deepseek_r1"),
        ("mistralai/Devstral-Small-2507", "mistral", None),
        ("mistralai/Magistral-Small-2509", "mistral", "mistral"),
        ("zai-org/GLM-4.6", "glm45", "glm45"),
        ("zai-org/GLM-4.5-Air", "glm45", "glm45"),
        ("zai-org/GLM-4.7-Flash", "glm47", "glm47"),
        ("zai-org/GLM-5.1", "glm47", "glm47"),
        ("openai/gpt-oss-120b", "openai", "openai_gptoss"),
        ("deepseek-ai/DeepSeek-V3-0324", "deepseek_v3", None),
        ("deepseek-ai/DeepSeek-R1-0528", "deepseek_v3", None),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", None, "deepseek_r1"),
        ("deepseek-ai/DeepSeek-V3.1", "deepseek_v31", None),
        ("deepseek-ai/DeepSeek-V3.2-Exp", "deepseek_v32", "deepseek_v3"),
        ("deepseek-ai/DeepSeek-V4", "deepseek_v4", "deepseek_v4"),
        ("moonshotai/Kimi-K2-Instruct-0905", "kimi_k2", None),
        ("moonshotai/Kimi-K2.5", "kimi_k2", "kimi_k2"),
        ("ByteDance-Seed/Seed-OSS-36B-Instruct", "seed_oss", "seed_oss"),
        ("MiniMaxAI/MiniMax-M2.5", "minimax_m2", "minimax_m2"),
        ("google/gemma-4-31B-it", "gemma4", "gemma4"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama3_json", None),
        ("/models/Qwen3-Coder-30B-A3B-Instruct/", "qwen3_xml", None),
    ],
)
def test_a_model_finds_its_family(model: str, tools: str | None, thoughts: str | None) -> None:
    family = family_of(model)
    assert family is not None
    assert (family.tool_parser, family.reasoning_parser) == (tools, thoughts)


@pytest.mark.parametrize("model", ["facebook/opt-125m", "someone/tiny", "/models/mistral/other", ""])
def test_a_stranger_has_none(model: str) -> None:
    assert family_of(model) is None


def test_the_table_is_sound() -> None:
    names = [family.name for family in families()]
    assert len(set(names)) == len(names)
    for family in families():
        re.compile(family.pattern)
        assert family.pattern == family.pattern.lower()
        assert family.tool_parser is None or family.tool_parser in TOOLS.split()
        assert family.reasoning_parser is None or family.reasoning_parser in THOUGHTS.split()
        assert re.fullmatch(r"0\.\d+\.\d+", family.since)
        assert all(flag.startswith("--") for flag in family.flags[::2]) or family.flags == ("--trust-remote-code",)
        assert family.tool_parser is not None or family.note  # then it is said why
