# from solution; loses: retries
class Breaker:
    def __init__(self):
        self.not_before = 0.0

    def allows(self):
        return time.monotonic() >= self.not_before

    def note(self, succeeded):
        if not succeeded:
            self.not_before = time.monotonic() + 1
