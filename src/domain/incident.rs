//! The managed service's record, in the canonical model.
