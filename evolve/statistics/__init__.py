"""Statistics of finished measurements: pure functions of results, which no policy decides on (docs/statistics.md)."""
