# from solution; loses: errors live
def summarise(recordings, window):
    begin, end = window
    samples = [sample for recording in recordings for sample in recording]
    due = [sample for sample in samples if begin <= sample.due < end]
    latencies = [sample.latency_ms for sample in due]
    arrived = [sample for sample in samples if begin <= sample.due + sample.latency_ms / 1000 < end]
    return {
        "throughput": len(arrived) / (end - begin),
        "p50_ms": float(np.percentile(latencies, 50)) if latencies else None,
        "p99_ms": float(np.percentile(latencies, 99)) if latencies else None,
        "errors": sum(sample.status == 0 for sample in due),
    }
