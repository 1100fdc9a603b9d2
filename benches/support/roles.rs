//! This very program in another role: every reference and every upstream is a process of its own, like the gateway.
//!
//! Owns: which roles there are. Never: measures. Fails: before it says where it listens.

use std::future::Future;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::process::parent_gone;
use super::{Failed, files, inserters, references, upstream};

const ROLES: [&str; 7] = ["upstream", "handler", "durable", "proxy", "files", "unnest", "inserts"];

/// The `main` of a bench that is also its own references: plays a role, or measures and says what stood in the way.
pub(crate) fn run(name: &str, measure: impl FnOnce(&[&str]) -> Result<(), Failed>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match asked(&words) {
        Some(played) => played,
        // `cargo test --all-targets` starts benches without this word; a test run is no place to measure.
        None if !words.contains(&"--bench") => Ok(()),
        None => measure(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("bench {name}: {failed}");
            ExitCode::FAILURE
        }
    }
}

/// Plays the role that the command line names, until whoever started it is gone; `None` if it names none.
fn asked(words: &[&str]) -> Option<Result<(), Failed>> {
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
