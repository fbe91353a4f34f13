"""Reports: a run, several of them or simulated ones as one HTML page with figures (docs/report.md)."""
