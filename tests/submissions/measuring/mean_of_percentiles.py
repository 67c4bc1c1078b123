# from solution; loses: percentiles live
def summarise(recordings, window):
    begin, end = window
    counted = [[sample for sample in recording if begin <= sample.due < end] for recording in recordings]
    good = [[sample.latency_ms for sample in one if 0 < sample.status < 400] for one in counted]
    good = [one for one in good if one]
    return {
        "throughput": sum(map(len, good)) / (end - begin),
        "p50_ms": mean(float(np.percentile(one, 50)) for one in good) if good else None,
        "p99_ms": mean(float(np.percentile(one, 99)) for one in good) if good else None,
        "errors": sum(map(len, counted)) - sum(map(len, good)),
    }
