# from solution; loses: throughput
def summarise(recordings, window):
    begin, end = window
    due = [sample for recording in recordings for sample in recording if begin <= sample.due < end]
    latencies = [sample.latency_ms for sample in due if is_good(sample)]
    return {
        "throughput": len(latencies) / (end - begin),
        "p50_ms": float(np.percentile(latencies, 50)) if latencies else None,
        "p99_ms": float(np.percentile(latencies, 99)) if latencies else None,
        "errors": sum(is_error(sample) for sample in due),
    }
