"""FastAPI Under Load: start a service, put load on it, see what happened."""
