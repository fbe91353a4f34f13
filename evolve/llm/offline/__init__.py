"""The offline model: a seeded program-repair model that needs no key, network or GPU. It is no language model."""

from evolve.llm.offline.provider import OfflineProvider

__all__ = ["OfflineProvider"]
