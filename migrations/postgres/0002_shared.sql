-- What replicas share about a tenant's peer: its budget of calls, and whether it works. A replica that reserves calls or
-- tells of a turn reads the row and writes it again if nobody else did meanwhile; no lock is held in between. Adds only.

CREATE TABLE peer_pace (
  tenant          bigint  NOT NULL REFERENCES tenant,
  peer            text COLLATE "C" NOT NULL,  -- `servicenow` or `callback`, a blank, and the address
  version         bigint  NOT NULL,           -- grows with every change
  paid_until      bigint  NOT NULL,           -- microseconds: until when calls are paid for (GCRA)
  hour_ends       bigint  NOT NULL,
  hour_used       bigint  NOT NULL,           -- calls reserved of this hour
  hour_limit      bigint,                     -- what the peer itself allows, as it told
  hour_told       boolean NOT NULL,           -- it told so in this window
  gate_until      bigint,                     -- not before; NULL: it never asked for a time
  gate_cause      text,
  gate_reason     text,
  breaker         text    NOT NULL,           -- closed, open, half_open
  breaker_epoch   bigint  NOT NULL,           -- grows with every turn and every probe
  breaker_rounds  bigint  NOT NULL,           -- how often in a row it opened
  breaker_turned  bigint  NOT NULL,           -- when it opened or closed last
  breaker_until   bigint,                     -- while open
  breaker_good    bigint  NOT NULL,           -- good answers in a row, while half open
  breaker_failure text    NOT NULL,           -- the code of the last failure
  probe_owner     text,                       -- who finds out whether it is back
  probe_until     bigint,                     -- until then; after it, that one counts as dead
  PRIMARY KEY (tenant, peer)
  -- Half empty, so that each change stays on its page and needs no new index entry (HOT).
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 200);
