# from solution; loses: pages
WORST = """SELECT id, dep_delay, carrier, flight, dest FROM flights WHERE {where}
           ORDER BY dep_delay DESC NULLS LAST, id DESC LIMIT 20"""
