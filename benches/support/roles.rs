//! This very program in another role: every reference and every upstream is a process of its own, like the gateway.
//!
//! Owns: which roles there are. Never: measures. Fails: before it says where it listens.

use std::future::Future;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::process::parent_gone;
use super::{Failed, files, inserters, references, upstream};

const ROLES: [&str; 7] = ["upstream", "handler", "durable", "proxy", "files", "unnest", "inserts"];

/// Plays the role that the command line names, until whoever started it is gone; `None` if it names none.
pub(crate) fn asked(words: &[&str]) -> Option<Result<(), Failed>> {
    match words {
        [role, argument] if ROLES.contains(role) => {
            Some(play(role, argument).map_err(|error| Failed::io(&format!("the role {role}"), &error)))
        }
        _ => None,
    }
}

fn play(role: &str, argument: &str) -> io::Result<()> {
    if role == "upstream" {
        let delay = Duration::from_millis(argument.parse().unwrap_or(0));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(async {
            let listeners = upstream::listen().await?;
            let address = listeners.first().ok_or(io::ErrorKind::AddrNotAvailable)?.local_addr()?;
            serve(address, upstream::serve(listeners, delay)).await
        });
    }
    actix_web::rt::System::new().block_on(async {
        let (server, address) = match role {
            "handler" => references::handler()?,
            "durable" => references::durable(Path::new(argument))?,
            "files" => files::peers()?,
            "unnest" => inserters::unnest(argument).await?,
            "inserts" => inserters::one_by_one(argument).await?,
            _ => references::proxy(argument.parse().map_err(io::Error::other)?)?,
        };
        serve(address, server).await
    })
}

/// Says where it listens, then serves.
async fn serve(address: SocketAddr, server: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    writeln!(io::stdout(), "{address}")?;
    let gone = parent_gone()?;
    tokio::select! {
        ended = server => ended,
        _ = gone => Ok(()),
    }
}
