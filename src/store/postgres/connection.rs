//! Which server, how to reach it, and whether it can be trusted with accepted work.
//!
//! Owns: the reading of the URL (TLS is ours to decide, see [`TlsMode`]), what every new connection is told, and what it
//! must answer before it is used. Never: shows a password; goes on with a server that may forget a commit.
//! Fails: with [`StoreError::Refused`] and what to do. Proved by: the tests below, and `tests/store/postgres_server.rs`
//! against servers that are set up badly on purpose.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;
use url::form_urlencoded;

use crate::limits::{
    POSTGRES_CONNECT_WAIT, POSTGRES_IDLE_WAIT, POSTGRES_KEEPALIVE, POSTGRES_LOCK_WAIT, POSTGRES_STATEMENT_WAIT,
    POSTGRES_UNHEARD_WAIT,
};
use crate::store::contract::StoreError;

/// The oldest server that this is tried with.
const SERVER_VERSION_MIN: i32 = 150_000;

/// How the way to the server is protected. Where TLS is used, the certificate and its name are always verified: a
/// check that can be left out is left out where it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TlsMode {
    Disable,
    Prefer,
    Require,
}

impl TlsMode {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "disable" => Some(Self::Disable),
            "prefer" => Some(Self::Prefer),
            "require" | "verify-ca" | "verify-full" => Some(Self::Require),
            _ => None,
        }
    }
}

/// A server, ready to be connected to.
pub(super) struct Place {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    /// What an operator should know about the way there.
    pub(super) warning: Option<String>,
}

/// Reads a URL such as `postgres://user@host/database?sslmode=verify-full`.
pub(super) fn place(url: &str, password: Option<&str>) -> Result<Place, StoreError> {
    let (plain, asked, roots) = without_tls(url)?;
    // The parser's own words may repeat a piece of the URL, and that may be a password.
    let mut config: Config = plain.parse().map_err(|_| {
        StoreError::Refused("the URL of PostgreSQL cannot be read: write `postgres://user@host/database`".to_owned())
    })?;
    if let Some(password) = password {
        config.password(password);
    }
    let is_local = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
    });
    let mode = asked.unwrap_or(if is_local { TlsMode::Disable } else { TlsMode::Prefer });
    config
        .ssl_mode(match mode {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require => SslMode::Require,
        })
        .application_name("snowgate")
        .connect_timeout(POSTGRES_CONNECT_WAIT)
        .keepalives(true)
        .keepalives_idle(POSTGRES_KEEPALIVE)
        .keepalives_interval(POSTGRES_KEEPALIVE / 3)
        .keepalives_retries(3)
        .tcp_user_timeout(POSTGRES_UNHEARD_WAIT)
        // Of several hosts, the one that takes writes; after a failover that is another one.
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
    let warning = (!is_local && mode != TlsMode::Require)
        .then(|| "the way to PostgreSQL may be without TLS: add `sslmode=verify-full` to `store.url`".to_owned());
    Ok(Place { config, tls: MakeRustlsConnect::new(tls_config(roots.as_deref())?), warning })
}

/// The URL without what it says of TLS, and that.
fn without_tls(url: &str) -> Result<(String, Option<TlsMode>, Option<String>), StoreError> {
    let Some((base, query)) = url.split_once('?') else { return Ok((url.to_owned(), None, None)) };
    let (mut mode, mut roots) = (None, None);
    let mut kept = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "sslmode" => {
                mode = Some(TlsMode::parse(&value).ok_or_else(|| {
                    StoreError::Refused(format!(
                        "`sslmode={value}` is unknown: write disable, prefer, require, verify-ca or verify-full"
                    ))
                })?);
            }
            "sslrootcert" => roots = Some(value.into_owned()),
            _ => {
                // The driver's parser takes a plus sign as it stands.
                kept.append_pair(&name, &value);
            }
        }
    }
    let kept = kept.finish().replace('+', "%20");
    Ok((if kept.is_empty() { base.to_owned() } else { format!("{base}?{kept}") }, mode, roots))
}

/// Trusts the given authorities alone, or else those of the operating system.
fn tls_config(roots: Option<&str>) -> Result<ClientConfig, StoreError> {
    let refused = |error: rustls::Error| StoreError::Refused(format!("TLS to PostgreSQL cannot be set up: {error}"));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(refused)?;
    let Some(path) = roots else {
        return Ok(builder.with_platform_verifier().map_err(refused)?.with_no_client_auth());
    };
    let unread = |error: &dyn std::fmt::Display| {
        StoreError::Refused(format!("`sslrootcert`: {path} holds no certificates that can be read: {error}"))
    };
    let mut trusted = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unread(&error))? {
        trusted.add(certificate.map_err(|error| unread(&error))?).map_err(|error| unread(&error))?;
    }
    if trusted.is_empty() {
        return Err(unread(&"it is empty"));
    }
    Ok(builder.with_root_certificates(trusted).with_no_client_auth())
}

/// Sets up a new connection and examines its server; answers a warning about what was agreed to.
pub(super) async fn prepare(
    client: &tokio_postgres::Client,
    accept_data_loss: bool,
) -> Result<Option<String>, StoreError> {
    let failed = |error: tokio_postgres::Error| super::fault::Fault::from(error).into_error();
    client.batch_execute(&settings()).await.map_err(failed)?;
    let facts = "SELECT current_setting('fsync'), current_setting('full_page_writes'), \
                 current_setting('synchronous_commit'), current_setting('server_encoding'), \
                 current_setting('server_version_num')::integer, pg_is_in_recovery()";
    let row = client.query_one(facts, &[]).await.map_err(failed)?;
    let word = |index: usize| row.try_get::<_, String>(index).map_err(failed);
    let facts = Facts {
        fsync: word(0)?,
        full_page_writes: word(1)?,
        synchronous_commit: word(2)?,
        encoding: word(3)?,
        version: row.try_get(4).map_err(failed)?,
        is_standby: row.try_get(5).map_err(failed)?,
    };
    facts.judge(accept_data_loss)
}

/// What each connection is told, whatever the role or the database says otherwise.
fn settings() -> String {
    let [statement, lock, idle] =
        [POSTGRES_STATEMENT_WAIT, POSTGRES_LOCK_WAIT, POSTGRES_IDLE_WAIT].map(|wait| wait.as_millis());
    format!(
        "SET statement_timeout = {statement}; SET lock_timeout = {lock}; \
         SET idle_in_transaction_session_timeout = {idle}; \
         SET default_transaction_isolation = 'read committed'; \
         -- Every statement of ours has its index. Tables here grow a thousandfold between two looks of the statistics,
         -- and a plan that was chosen for an empty table must not walk through a full one.
         -- So each is planned once per connection, and each join is a look into an index.
         SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off; SET enable_mergejoin = off; \
         SET enable_material = off; SET enable_seqscan = off; SET jit = off"
    )
}

/// What a server says of itself.
#[derive(Clone, Debug)]
struct Facts {
    fsync: String,
    full_page_writes: String,
    synchronous_commit: String,
    encoding: String,
    version: i32,
    is_standby: bool,
}

impl Facts {
    fn judge(&self, accept_data_loss: bool) -> Result<Option<String>, StoreError> {
        let refused = |reason: String| Err(StoreError::Refused(reason));
        let mut agreed = None;
        if self.version < SERVER_VERSION_MIN {
            return refused(format!("PostgreSQL {} is too old: 15 is needed", self.version / 10_000));
        }
        for (name, value) in [
            ("fsync", &self.fsync),
            ("full_page_writes", &self.full_page_writes),
            ("synchronous_commit", &self.synchronous_commit),
        ] {
            if value != "off" {
                continue;
            }
            if !accept_data_loss {
                return refused(format!(
                    "PostgreSQL runs with {name} = off: accepted work could be lost; set {name} = on"
                ));
            }
            agreed = Some(format!("PostgreSQL runs with {name} = off: accepted work may be lost, as was agreed to"));
        }
        if self.encoding != "UTF8" {
            return refused(format!("the database's encoding is {}: create it with ENCODING 'UTF8'", self.encoding));
        }
        if self.is_standby {
            return Err(StoreError::Unavailable("this PostgreSQL is a standby, which takes no writes".to_owned()));
        }
        Ok(agreed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(url: &str) -> (SslMode, bool) {
        let place = place(url, None).unwrap();
        (place.config.get_ssl_mode(), place.warning.is_some())
    }

    #[test]
    fn tls_is_asked_for_where_it_matters() {
        assert_eq!(mode_of("postgres://u@127.0.0.1/db"), (SslMode::Disable, false));
        assert_eq!(mode_of("postgres://u@/db?host=/run/postgresql"), (SslMode::Disable, false));
        assert_eq!(mode_of("postgres://u@db.example/db"), (SslMode::Prefer, true));
        assert_eq!(mode_of("postgres://u@db.example/db?sslmode=disable"), (SslMode::Disable, true));
        for strict in ["require", "verify-ca", "verify-full"] {
            assert_eq!(mode_of(&format!("postgres://u@db.example/db?sslmode={strict}")), (SslMode::Require, false));
        }
    }

    #[test]
    fn what_is_not_about_tls_is_kept() {
        let (url, mode, roots) =
            without_tls("postgres://u@/db?host=/run/pg%20sql&sslrootcert=/etc/ca.pem&sslmode=require").unwrap();
        assert_eq!(url, "postgres://u@/db?host=%2Frun%2Fpg%20sql");
        assert_eq!((mode, roots.as_deref()), (Some(TlsMode::Require), Some("/etc/ca.pem")));
    }

    #[test]
    fn a_refusal_repeats_no_password() {
        let Err(refusal) = place("postgres://u:hunter2@[::1/db", None) else { panic!("it was read") };
        assert!(!refusal.to_string().contains("hunter2"), "{refusal}");
        let Err(refusal) = place("postgres://u:hunter2@h/db?sslmode=strong", None) else { panic!("it was read") };
        assert!(refusal.to_string().contains("verify-full") && !refusal.to_string().contains("hunter2"), "{refusal}");
    }

    #[test]
    fn a_server_that_may_forget_is_refused() {
        let good = Facts {
            fsync: "on".to_owned(),
            full_page_writes: "on".to_owned(),
            synchronous_commit: "on".to_owned(),
            encoding: "UTF8".to_owned(),
            version: 150_018,
            is_standby: false,
        };
        assert_eq!(good.judge(false).unwrap(), None);
        let off = || "off".to_owned();
        for (bad, word) in [
            (Facts { fsync: off(), ..good.clone() }, "fsync"),
            (Facts { full_page_writes: off(), ..good.clone() }, "full_page_writes"),
            (Facts { synchronous_commit: off(), ..good.clone() }, "synchronous_commit"),
            (Facts { encoding: "LATIN1".to_owned(), ..good.clone() }, "LATIN1"),
            (Facts { version: 140_010, ..good.clone() }, "14"),
            (Facts { is_standby: true, ..good.clone() }, "standby"),
        ] {
            let refusal = bad.judge(false).unwrap_err().to_string();
            assert!(refusal.contains(word), "{refusal}");
        }
        let agreed = Facts { fsync: off(), ..good }.judge(true).unwrap();
        assert!(agreed.is_some_and(|warning| warning.contains("fsync")));
    }
}
