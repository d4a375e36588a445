"""The workloads of `check perf` and `check datascale`, and how their results are judged."""
