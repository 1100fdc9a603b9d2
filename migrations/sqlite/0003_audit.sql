-- Who did what, append-only and chained; and how far a tenant is on its way from a draft to being served. Adds only.

-- One row per deed. Texts are empty where there is nothing to say; hashes are 32 bytes, or empty.
CREATE TABLE audit (
  sequence INTEGER PRIMARY KEY,               -- from 1, dense
  at       INTEGER NOT NULL,                  -- the store's clock
  who      TEXT    NOT NULL,                  -- an operator's name, or `gateway`
  role     TEXT    NOT NULL,
  tenant   TEXT    NOT NULL,                  -- the name, not a row number: the log must be readable without other tables
  action   TEXT    NOT NULL,
  target   TEXT    NOT NULL,
  before   BLOB    NOT NULL,
  after    BLOB    NOT NULL,
  source   TEXT    NOT NULL,                  -- the address the request came from
  request  TEXT    NOT NULL,
  note     TEXT    NOT NULL,
  hash     BLOB    NOT NULL                   -- SHA-256 over the hash of the row before and this row
) STRICT;
CREATE INDEX audit_tenant ON audit (tenant, sequence);

-- Where the chain begins: the last row that retention removed. Nothing was removed yet: sequence 0 and 32 zeros.
CREATE TABLE audit_anchor (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  sequence INTEGER NOT NULL,
  hash     BLOB    NOT NULL
) STRICT;
INSERT INTO audit_anchor (id, sequence, hash) VALUES (1, 0, zeroblob(32));

-- The triggers keep our own code, and people with a shell, from changing the past by mistake. Who has the file can drop
-- them; that is what the chain, and a checkpoint kept elsewhere, are for.
CREATE TRIGGER audit_grows_at_its_end BEFORE INSERT ON audit
WHEN NEW.sequence IS NOT 1 + coalesce((SELECT max(sequence) FROM audit), (SELECT sequence FROM audit_anchor))
BEGIN SELECT RAISE(ABORT, 'the audit log grows at its end only'); END;

CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
WHEN OLD.sequence > (SELECT sequence FROM audit_anchor)
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

-- The beginning moves forward only, to a row as it stands, and only if that row is older than 180 days.
CREATE TRIGGER audit_anchor_moves_forward BEFORE UPDATE ON audit_anchor
WHEN NEW.sequence <= OLD.sequence OR NOT EXISTS (
  SELECT 1 FROM audit WHERE sequence = NEW.sequence AND hash = NEW.hash
    AND at <= (SELECT at FROM audit ORDER BY sequence DESC LIMIT 1) - 15552000000)
BEGIN SELECT RAISE(ABORT, 'the audit log is kept for 180 days'); END;

CREATE TRIGGER audit_anchor_stays BEFORE DELETE ON audit_anchor
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

-- The last check of a tenant against its instance, and by whose word it is served.
CREATE TABLE tenant_check (
  tenant          INTEGER PRIMARY KEY REFERENCES tenant,
  checked_at      INTEGER,                    -- NULL: never
  checked_by      TEXT,
  digest          BLOB,                       -- of what was checked: instance, account, mapping
  passed          INTEGER,
  findings        TEXT,                       -- JSON
  released_at     INTEGER,                    -- NULL: nobody enabled it
  released_by     TEXT,
  released_digest BLOB,                       -- of what was enabled
  forced          INTEGER                     -- 1: enabled without a passed check
) STRICT;
