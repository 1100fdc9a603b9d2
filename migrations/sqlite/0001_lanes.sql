-- The first schema. Times are milliseconds since 1970, UTC. Applied migrations never change: their hash is checked.

CREATE TABLE tenant (
  id           INTEGER PRIMARY KEY,
  name         TEXT NOT NULL UNIQUE,
  paused_until INTEGER,                       -- NULL: not paused
  pause_code   TEXT,
  pause_reason TEXT,
  learned      TEXT                           -- JSON; a cache that the instance can teach again
) STRICT;

-- The hot row: small, so that many fit on a page. Nothing of an event's text is here.
CREATE TABLE lane (
  id           INTEGER PRIMARY KEY,
  tenant       INTEGER NOT NULL REFERENCES tenant,
  direction    INTEGER NOT NULL,              -- 0 to ServiceNow, 1 to the managed service
  incident     TEXT    NOT NULL,
  head         INTEGER NOT NULL DEFAULT 1,    -- the next sequence to run
  tail         INTEGER NOT NULL,              -- the last sequence given; the lane is empty when head > tail
  rank         INTEGER NOT NULL,              -- the most urgent of what waits; lower goes first
  due          INTEGER,                       -- NULL: nothing to do, or parked; while leased: the lease's end
  leased_until INTEGER,
  fence        INTEGER NOT NULL DEFAULT 0,    -- grows with every claim
  attempts     INTEGER NOT NULL DEFAULT 0,    -- counted tries of the head
  parked       INTEGER NOT NULL DEFAULT 0     -- 1: the head waits for a person, and all behind it with it
) STRICT;
CREATE UNIQUE INDEX lane_incident ON lane (tenant, incident, direction);
-- Claiming reads one short range of this per tenant and rank; leased and backing-off lanes lie behind `now`.
CREATE INDEX lane_due ON lane (tenant, rank, due) WHERE due IS NOT NULL;
-- Holds only lanes being worked on, so counting a tenant's share is counting a handful of entries.
CREATE INDEX lane_leased ON lane (tenant, leased_until) WHERE leased_until IS NOT NULL;

-- What a lane remembers of its ticket: a cache, some kilobytes of JSON, read at a claim and written at a settlement.
CREATE TABLE lane_memory (
  lane   INTEGER PRIMARY KEY REFERENCES lane,
  memory TEXT NOT NULL
) STRICT;

-- One row per accepted change, kept with its lane, so that a claim and a settlement find their rows side by side.
CREATE TABLE delivery (
  lane          INTEGER NOT NULL REFERENCES lane,
  sequence      INTEGER NOT NULL,             -- from 1, dense
  tenant        INTEGER NOT NULL,
  receipt       BLOB    NOT NULL,             -- the 16 bytes of its id, which sort by time
  event         TEXT    NOT NULL,             -- source, line feed, id
  kind          TEXT    NOT NULL,
  rank          INTEGER NOT NULL,             -- the urgency of its kind
  state         INTEGER NOT NULL DEFAULT 0,   -- 0 open (being sent if sending_since), 1 delivered, 2 superseded, 3 parked, 4 dropped
  accepted_at   INTEGER NOT NULL,
  sending_since INTEGER,
  ended_at      INTEGER,
  body          INTEGER NOT NULL,             -- body.id
  body_hash     BLOB    NOT NULL,
  ending        TEXT,                         -- JSON
  attempts      TEXT,                         -- JSON, the last few tries
  PRIMARY KEY (lane, sequence)
) STRICT, WITHOUT ROWID;
-- Repeats are found here; unique, so that not even a defect of ours can accept an event twice.
CREATE UNIQUE INDEX delivery_event ON delivery (tenant, event);
-- Lists, look-ups by receipt, and the backlog (an index-only count of state 0).
CREATE UNIQUE INDEX delivery_state ON delivery (tenant, state, receipt);

-- Bodies lie apart and in order of acceptance: written once, never rewritten by what becomes of the delivery.
CREATE TABLE body (
  id   INTEGER PRIMARY KEY,
  text TEXT NOT NULL
) STRICT;

-- The latest time in use, so that a clock set back over a restart cannot hold lanes.
CREATE TABLE store_time (
  id  INTEGER PRIMARY KEY CHECK (id = 1),
  now INTEGER NOT NULL
) STRICT;
INSERT INTO store_time (id, now) VALUES (1, 0);
