//! The way to what replicas share: a question about a tenant's peer goes to the store, and its answer back.
//!
//! Owns: the name of a peer in the store, which holds its address: while files are rolled out, one replica may call an old
//! address and another a new one, and neither's outage is the other's. Never: decides anything; the rule is in
//! `delivery::sharing`, when to ask is in `peer::pace`. Fails: by saying why there is no answer, and then nothing is sent.
//! A process that has its store for itself shares nothing, and pays nothing for it.

use std::sync::Arc;

use crate::domain::id::TenantId;
use crate::peer::permit::Exchange;
use crate::store::Store;

/// A store on which other replicas work too.
#[derive(Clone, Debug)]
pub struct SharedStore {
    store: Store,
    replica: Arc<str>,
}

impl SharedStore {
    /// What is shared over this store; `replica` names this process in records.
    pub const fn new(store: Store, replica: Arc<str>) -> Self {
        Self { store, replica }
    }

    /// The same if other processes can work on the store at all.
    pub fn of(store: &Store, replica: &str) -> Option<Self> {
        store.is_shared().then(|| Self::new(store.clone(), replica.into()))
    }

    pub(super) fn replica(&self) -> Arc<str> {
        Arc::clone(&self.replica)
    }

    pub(super) fn exchange(&self, tenant: &TenantId, peer: &str) -> Exchange {
        let (store, tenant, peer): (_, _, Arc<str>) = (self.store.clone(), tenant.clone(), peer.into());
        Exchange::new(move |ask| {
            let (store, tenant, peer) = (store.clone(), tenant.clone(), Arc::clone(&peer));
            Box::pin(async move { store.share_pace(&tenant, &peer, &ask).await.map_err(|error| error.to_string()) })
        })
    }
}
