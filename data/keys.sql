-- Added once the rows are in, since one check of a whole table is far quicker than one a row.

ALTER TABLE airlines ADD PRIMARY KEY (carrier);
ALTER TABLE airports ADD PRIMARY KEY (faa);
ALTER TABLE planes   ADD PRIMARY KEY (tailnum);
ALTER TABLE weather  ADD PRIMARY KEY (origin, time_hour);
ALTER TABLE flights  ADD PRIMARY KEY (id);

-- Three references hold for every row. Two do not, and cannot be declared: 7,602 flights go to the four
-- airports, and 50,094 were flown by the 721 planes, that the source has no record of.
-- There is no other index. A lesson finds out which one is missing.

ALTER TABLE flights ADD FOREIGN KEY (carrier) REFERENCES airlines;
ALTER TABLE flights ADD FOREIGN KEY (origin)  REFERENCES airports;
ALTER TABLE weather ADD FOREIGN KEY (origin)  REFERENCES airports;

SELECT setval(pg_get_serial_sequence('flights', 'id'), max(id)) FROM flights;
