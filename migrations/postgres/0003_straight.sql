-- Whoever works with the version before goes on meanwhile: all tables are taken before anything is done to one, so that this
-- waits for nobody while others wait for it.
LOCK TABLE tenant, lane, delivery IN ACCESS EXCLUSIVE MODE;

-- Deliveries by state, with the state before the tenant: the same looks as before, but no longer one that fits whoever only
-- names a tenant. While the tables are empty, the planner holds an index that begins with the tenant to be as good for
-- finding one event as the index of events; a plan that is kept from then would walk through all that a tenant has.
CREATE UNIQUE INDEX delivery_by_state ON delivery (state, tenant, receipt);
DROP INDEX delivery_state;
ALTER INDEX delivery_by_state RENAME TO delivery_state;

-- A new lane is written by a statement that has its tenant's number from the tenant's own row, and nothing ever removes a
-- tenant: what is checked for each new lane, with a lock on a row that claims want too, cannot fail.
ALTER TABLE lane DROP CONSTRAINT lane_tenant_fkey;
