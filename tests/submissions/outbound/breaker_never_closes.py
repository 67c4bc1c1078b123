# from solution; loses: whole connections partial retries spared deadline recovers
class Breaker:
    def __init__(self, most=5):
        self.most, self.failed = most, 0

    def allows(self):
        return self.failed < self.most

    def note(self, succeeded):
        self.failed = 0 if succeeded else self.failed + 1
