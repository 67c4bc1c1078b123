# from solution; loses: errors live
def summarise(recordings, window):
    begin, end = window
    counted = [sample for recording in recordings for sample in recording if begin <= sample.due < end]
    latencies = [sample.latency_ms for sample in counted]
    return {
        "throughput": len(counted) / (end - begin),
        "p50_ms": float(np.percentile(latencies, 50)) if latencies else None,
        "p99_ms": float(np.percentile(latencies, 99)) if latencies else None,
        "errors": sum(sample.status == 0 for sample in counted),
    }
