-- What the way from ServiceNow to the managed service needs. Adds only: a version that knows 0001 wrote every row here.

-- 1: its sender says that a callback of ours caused it; recorded, never sent back.
ALTER TABLE delivery ADD COLUMN is_echo INTEGER NOT NULL DEFAULT 0;

-- Holds only tickets whose incident is being opened just now: empty most of the time, so asking costs nothing.
CREATE INDEX delivery_opening ON delivery (tenant) WHERE kind = 'ticket.opened' AND sending_since IS NOT NULL;

-- What waits for the managed service, by lane; the other direction is what remains of all that waits, so that the main
-- direction pays for no index. Holds only lanes with work.
CREATE INDEX lane_back ON lane (tenant, head, tail, parked) WHERE direction = 1 AND head <= tail;

-- Which incident a ticket belongs to: a cache, ServiceNow holds the same in the ticket's own fields.
CREATE TABLE link (
  tenant       INTEGER NOT NULL REFERENCES tenant,
  sys_id       TEXT    NOT NULL,              -- the ticket's key
  number       TEXT    NOT NULL,              -- empty: the instance did not say
  ticket_table TEXT    NOT NULL,
  incident     TEXT    NOT NULL,
  episode      INTEGER NOT NULL,
  found_at     INTEGER NOT NULL,              -- when the ticket was first known
  PRIMARY KEY (tenant, sys_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_incident ON link (tenant, incident);

-- How far each tenant's instance was asked what changed. Not a cache: without it changes could be missed.
CREATE TABLE sweep (
  tenant       INTEGER PRIMARY KEY REFERENCES tenant,
  fence        INTEGER NOT NULL,              -- grows with every lease
  owner        TEXT,                          -- who sweeps; for people
  leased_until INTEGER,                       -- NULL: nobody sweeps
  began        INTEGER NOT NULL,              -- when the latest one began, finished or not
  last_began   INTEGER,                       -- when the latest finished one began
  cursor       TEXT                           -- JSON; NULL: from the start
) STRICT;
