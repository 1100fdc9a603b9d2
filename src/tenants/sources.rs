//! The tools that are understood: every compiled source file, by its name.
//!
//! Owns: finding one. Never: belongs to a tenant; a source says what a tool means, a tenant's senders say who may post.
//! Fails: it cannot. Proved by: `tests/tenants.rs` and `tests/it/source_route.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::mapping::source::Source;

/// Every source, replaced as a whole. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    by_name: Arc<BTreeMap<Box<str>, Arc<Source>>>,
}

impl Sources {
    /// The source of that name.
    pub fn find(&self, name: &str) -> Option<Arc<Source>> {
        self.by_name.get(name).cloned()
    }

    /// Every source, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.by_name.values()
    }
}

impl FromIterator<Source> for Sources {
    fn from_iter<T: IntoIterator<Item = Source>>(sources: T) -> Self {
        let named = sources.into_iter().map(|source| (source.name().into(), Arc::new(source)));
        Self { by_name: Arc::new(named.collect()) }
    }
}
