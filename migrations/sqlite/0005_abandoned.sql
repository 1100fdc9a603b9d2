-- How many owners of the head died with it, one after the other: a delivery that ends its worker is put aside by this
-- count. Adds only: a version that knows 0003 leaves it as it is.
ALTER TABLE lane ADD COLUMN abandoned INTEGER NOT NULL DEFAULT 0;
