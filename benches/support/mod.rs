//! The parts of the side-by-side measurements; `benches/{gateway,replicas,backlog}.rs` put them together.

pub(crate) mod event;
pub(crate) mod figures;
pub(crate) mod files;
pub(crate) mod gateway;
pub(crate) mod http;
pub(crate) mod inserters;
pub(crate) mod load;
pub(crate) mod machine;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod references;
pub(crate) mod roles;
pub(crate) mod runs;
pub(crate) mod upstream;

/// Why a measurement could not be made. A missed target is not a failure, it is a result.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failed(String);

impl Failed {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    pub(crate) fn io(what: &str, error: &std::io::Error) -> Self {
        Self(format!("{what}: {error}"))
    }
}
