-- The first schema: what SQLite's has, by the same names. Times are milliseconds since 1970, UTC, by the database's
-- clock. Applied migrations never change: their hash is checked. Names are compared byte by byte (COLLATE "C"), so that
-- order does not depend on the server's locale and no index breaks when its operating system is replaced.
--
-- Text bodies stand in `delivery` itself: PostgreSQL moves long ones aside by itself and does not copy them when the
-- row changes.

-- The store's time. A function of ours, so that one place says what a moment is.
CREATE FUNCTION store_now() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

CREATE TABLE tenant (
  id           bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  name         text COLLATE "C" NOT NULL UNIQUE,
  paused_until bigint,                        -- NULL: not paused
  pause_code   text,
  pause_reason text,
  learned      text                           -- JSON; a cache that the instance can teach again
);

-- The hot row. Every claim and settlement moves it in `lane_due`, so vacuum comes early and cheaply.
CREATE TABLE lane (
  id           bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  tenant       bigint   NOT NULL REFERENCES tenant,
  direction    smallint NOT NULL,             -- 0 to ServiceNow, 1 to the managed service
  incident     text COLLATE "C" NOT NULL,
  head         bigint   NOT NULL DEFAULT 1,   -- the next sequence to run
  tail         bigint   NOT NULL,             -- the last sequence given; the lane is empty when head > tail
  rank         smallint NOT NULL,             -- the most urgent of what waits; lower goes first
  due          bigint,                        -- NULL: nothing to do, or parked; while leased: the lease's end
  leased_until bigint,
  fence        bigint   NOT NULL DEFAULT 0,   -- grows with every claim
  attempts     integer  NOT NULL DEFAULT 0,   -- counted tries of the head
  parked       boolean  NOT NULL DEFAULT false -- the head waits for a person, and all behind it with it
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 200,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.02);
CREATE UNIQUE INDEX lane_incident ON lane (tenant, incident, direction);
-- Claiming reads one short range of this per tenant and rank; leased and backing-off lanes lie behind `now`.
CREATE INDEX lane_due ON lane (tenant, rank, due, id) WHERE due IS NOT NULL;
-- Holds only lanes being worked on, so counting a tenant's share is counting a handful of entries.
CREATE INDEX lane_leased ON lane (tenant, leased_until) WHERE leased_until IS NOT NULL;
-- What waits for the managed service, by lane; the other direction is what remains of all that waits.
CREATE INDEX lane_back ON lane (tenant, head, tail, parked) WHERE direction = 1 AND head <= tail;

-- What a lane remembers of its ticket: a cache, some kilobytes of JSON, read at a claim and written at a settlement.
CREATE TABLE lane_memory (
  lane   bigint PRIMARY KEY,
  memory text NOT NULL
) WITH (fillfactor = 80);

-- One row per accepted change. It has no foreign keys: the statement that writes a row has its lane's row locked, and
-- nothing ever removes a lane or a tenant.
CREATE TABLE delivery (
  lane          bigint   NOT NULL,
  sequence      bigint   NOT NULL,            -- from 1, dense
  tenant        bigint   NOT NULL,
  receipt       uuid     NOT NULL,            -- its id, which sorts by time
  event         text COLLATE "C" NOT NULL,    -- source, line feed, id
  kind          text     NOT NULL,
  rank          smallint NOT NULL,            -- the urgency of its kind
  state         smallint NOT NULL DEFAULT 0,  -- 0 open (being sent if sending_since), 1 delivered, 2 superseded, 3 parked, 4 dropped
  is_echo       boolean  NOT NULL DEFAULT false, -- its sender says that a callback of ours caused it; never sent back
  accepted_at   bigint   NOT NULL,
  sending_since bigint,
  ended_at      bigint,
  body          text     NOT NULL,            -- JSON, as sent
  body_hash     bytea    NOT NULL,
  ending        text,                         -- JSON
  attempts      text,                         -- JSON, the last few tries
  PRIMARY KEY (lane, sequence)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02,
        autovacuum_analyze_scale_factor = 0.02);
-- Repeats are found here; unique, so that not even a defect of ours can accept an event twice.
CREATE UNIQUE INDEX delivery_event ON delivery (tenant, event);
-- Lists, look-ups by receipt, and the backlog (an index-only count of state 0).
CREATE UNIQUE INDEX delivery_state ON delivery (tenant, state, receipt);
-- Holds only tickets whose incident is still to be opened: few. It must not name `sending_since`: an index over a
-- column keeps every change of it from being a cheap one (HOT), and that column changes before every call.
CREATE INDEX delivery_opening ON delivery (tenant) WHERE kind = 'ticket.opened' AND state = 0;

-- Which incident a ticket belongs to: a cache, ServiceNow holds the same in the ticket's own fields.
CREATE TABLE link (
  tenant       bigint  NOT NULL REFERENCES tenant,
  sys_id       text COLLATE "C" NOT NULL,     -- the ticket's key
  number       text    NOT NULL,              -- empty: the instance did not say
  ticket_table text    NOT NULL,
  incident     text COLLATE "C" NOT NULL,
  episode      bigint  NOT NULL,
  found_at     bigint  NOT NULL,              -- when the ticket was first known
  PRIMARY KEY (tenant, sys_id)
);
CREATE INDEX link_incident ON link (tenant, incident);

-- How far each tenant's instance was asked what changed. Not a cache: without it changes could be missed.
CREATE TABLE sweep (
  tenant       bigint PRIMARY KEY REFERENCES tenant,
  fence        bigint NOT NULL,               -- grows with every lease
  owner        text,                          -- who sweeps; for people
  leased_until bigint,                        -- NULL: nobody sweeps
  began        bigint NOT NULL,               -- when the latest one began, finished or not
  last_began   bigint,                        -- when the latest finished one began
  cursor       text                           -- JSON; NULL: from the start
) WITH (fillfactor = 50);

-- Who did what, append-only and chained. Texts are empty where there is nothing to say; hashes are 32 bytes, or empty.
CREATE TABLE audit (
  sequence bigint PRIMARY KEY,                -- from 1, dense
  at       bigint NOT NULL,                   -- the store's clock
  who      text   NOT NULL,                   -- an operator's name, or `gateway`
  role     text   NOT NULL,
  tenant   text COLLATE "C" NOT NULL,         -- the name, not a row number: the log must be readable without other tables
  action   text   NOT NULL,
  target   text   NOT NULL,
  before   bytea  NOT NULL,
  after    bytea  NOT NULL,
  source   text   NOT NULL,                   -- the address the request came from
  request  text   NOT NULL,
  note     text   NOT NULL,
  hash     bytea  NOT NULL                    -- SHA-256 over the hash of the row before and this row
);
CREATE INDEX audit_tenant ON audit (tenant, sequence);

-- Where the chain begins: the last row that retention removed. Nothing was removed yet: sequence 0 and 32 zeros.
CREATE TABLE audit_anchor (
  id       integer PRIMARY KEY CHECK (id = 1),
  sequence bigint  NOT NULL,
  hash     bytea   NOT NULL
);
INSERT INTO audit_anchor (id, sequence, hash) VALUES (1, 0, decode(repeat('00', 32), 'hex'));

-- The triggers keep our own code, and people with a shell, from changing the past by mistake. Who owns the tables can
-- drop them; that is what the chain, and a checkpoint kept elsewhere, are for.
CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' AND NEW.sequence =
     1 + coalesce((SELECT max(sequence) FROM audit), (SELECT sequence FROM audit_anchor)) THEN
    RETURN NEW;
  ELSIF TG_OP = 'DELETE' AND OLD.sequence <= (SELECT sequence FROM audit_anchor) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'the audit log is append-only and grows at its end only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_append_only BEFORE INSERT OR UPDATE OR DELETE ON audit
  FOR EACH ROW EXECUTE FUNCTION audit_append_only();

-- The beginning moves forward only, to a row as it stands, and only if that row is older than 180 days.
CREATE FUNCTION audit_anchor_moves_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.sequence > OLD.sequence AND EXISTS (
    SELECT 1 FROM audit WHERE sequence = NEW.sequence AND hash = NEW.hash
      AND at <= (SELECT at FROM audit ORDER BY sequence DESC LIMIT 1) - 15552000000) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'the audit log is kept for 180 days' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_anchor_moves_forward BEFORE INSERT OR UPDATE OR DELETE ON audit_anchor
  FOR EACH ROW EXECUTE FUNCTION audit_anchor_moves_forward();

CREATE FUNCTION audit_is_never_emptied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation'; END $$;
CREATE TRIGGER audit_is_never_emptied BEFORE TRUNCATE ON audit
  FOR EACH STATEMENT EXECUTE FUNCTION audit_is_never_emptied();
CREATE TRIGGER audit_anchor_is_never_emptied BEFORE TRUNCATE ON audit_anchor
  FOR EACH STATEMENT EXECUTE FUNCTION audit_is_never_emptied();

-- The last check of a tenant against its instance, and by whose word it is served.
CREATE TABLE tenant_check (
  tenant          bigint PRIMARY KEY REFERENCES tenant,
  checked_at      bigint,                     -- NULL: never
  checked_by      text,
  digest          bytea,                      -- of what was checked: instance, account, mapping
  passed          boolean,
  findings        text,                       -- JSON
  released_at     bigint,                     -- NULL: nobody enabled it
  released_by     text,
  released_digest bytea,                      -- of what was enabled
  forced          boolean                     -- enabled without a passed check
);

-- Each query of a volatile function sees what was committed by then, also inside a statement that began before. That is
-- what these two are for: they run after the row that guards the answer was locked.

-- How many lanes of a tenant are leased.
CREATE FUNCTION lanes_leased(of_tenant bigint, at_time bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN RETURN (SELECT count(*) FROM lane WHERE tenant = of_tenant AND leased_until > at_time); END $$;

-- The most urgent rank of what waits in a lane from a sequence on.
CREATE FUNCTION waiting_rank(of_lane bigint, from_sequence bigint) RETURNS smallint LANGUAGE plpgsql VOLATILE AS $$
BEGIN RETURN (SELECT min(rank) FROM delivery WHERE lane = of_lane AND sequence >= from_sequence); END $$;

-- Recorded tries with one more, of which the newest are kept.
CREATE FUNCTION with_attempt(attempts text, attempt text, most integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN attempt IS NULL THEN attempts ELSE (
    SELECT '[' || string_agg(kept.element::text, ',' ORDER BY kept.place) || ']'
    FROM (SELECT element, place, count(*) OVER () AS known
          FROM json_array_elements((coalesce(nullif(attempts, '[]'), '[null]')::json)) WITH ORDINALITY AS old(element, place)
          WHERE element::text <> 'null'
          UNION ALL SELECT attempt::json, 9223372036854775807, 0) AS kept
    WHERE kept.place > kept.known - most + 1) END $$;
