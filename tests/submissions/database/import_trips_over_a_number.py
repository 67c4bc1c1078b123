# from solution; loses: imports
class NewFlight(NewFlight):
    flight: int
