-- What replicas share about a tenant's peer: its budget of calls, and whether it works. One process has all of this in
-- memory and writes nothing here; the table stands so that every engine keeps one contract, and a copy loses nothing. Adds only.

CREATE TABLE peer_pace (
  tenant          INTEGER NOT NULL REFERENCES tenant,
  peer            TEXT    NOT NULL,           -- `servicenow` or `callback`, a blank, and the address
  version         INTEGER NOT NULL,           -- grows with every change
  paid_until      INTEGER NOT NULL,           -- microseconds: until when calls are paid for (GCRA)
  hour_ends       INTEGER NOT NULL,
  hour_used       INTEGER NOT NULL,           -- calls reserved of this hour
  hour_limit      INTEGER,                    -- what the peer itself allows, as it told
  hour_told       INTEGER NOT NULL,           -- 1: it told so in this window
  gate_until      INTEGER,                    -- not before; NULL: it never asked for a time
  gate_cause      TEXT,
  gate_reason     TEXT,
  breaker         TEXT    NOT NULL,           -- closed, open, half_open
  breaker_epoch   INTEGER NOT NULL,           -- grows with every turn and every probe
  breaker_rounds  INTEGER NOT NULL,           -- how often in a row it opened
  breaker_turned  INTEGER NOT NULL,           -- when it opened or closed last
  breaker_until   INTEGER,                    -- while open
  breaker_good    INTEGER NOT NULL,           -- good answers in a row, while half open
  breaker_failure TEXT    NOT NULL,           -- the code of the last failure
  probe_owner     TEXT,                       -- who finds out whether it is back
  probe_until     INTEGER,                    -- until then; after it, that one counts as dead
  PRIMARY KEY (tenant, peer)
) STRICT, WITHOUT ROWID;
