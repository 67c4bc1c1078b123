# from solution; loses: percentiles live stall
def summarise(recordings, window):
    begin, end = window
    good = [[sample for sample in recording if is_good(sample)] for recording in recordings]
    latencies = [[sample.latency_ms for sample in one if begin <= sample.due < end] for one in good]
    latencies = [one for one in latencies if one]
    arrived = [
        sample for one in good for sample in one if begin <= sample.due + sample.latency_ms / 1000 < end
    ]
    due = [sample for recording in recordings for sample in recording if begin <= sample.due < end]
    return {
        "throughput": len(arrived) / (end - begin),
        "p50_ms": mean(float(np.percentile(one, 50)) for one in latencies) if latencies else None,
        "p99_ms": mean(float(np.percentile(one, 99)) for one in latencies) if latencies else None,
        "errors": sum(is_error(sample) for sample in due),
    }
