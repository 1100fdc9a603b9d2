//! A customer with an instance, a tenant's file and a mapping, in a folder of their own.

use std::path::Path;
use std::sync::Arc;

use snowgate::domain::secret::Secret;
use snowgate::domain::time::SharedClock;
use snowgate::onboarding::LiveCheck;
use snowgate::onboarding::report::{LiveFinding, LiveReport, Severity};
use snowgate::peer::oauth::Credentials;
use snowgate::peer::pace::Limits;
use snowgate::peer::transport::Transport;
use snowgate::peer::transport::http::{Http, HttpOptions};
use snowgate::runtime::clock::SystemClock;
use snowgate::servicenow::client::{Client, ClientOptions};
use snowgate::settings::Environment;
use snowgate::sim::misconfiguration::Misconfiguration;
use snowgate::sim::server::{self, Options, Simulator};
use snowgate::sim::switches::Switches;
use snowgate::tenants::{self, Tenant};

/// A mapping that uses everything a check looks at.
pub(crate) const MAPPING: &str = include_str!("../fixtures/mappings/onboarding.yaml");

/// What the tenant's callback is signed with; nobody listens there.
pub(crate) const CALLBACK_SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// How the account logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    Password,
    Client,
}

/// See the module's text.
pub(crate) struct Customer {
    pub(crate) simulator: Simulator,
    folder: tempfile::TempDir,
    login: Login,
}

impl Customer {
    /// An instance that is set up as `docs/servicenow-admin.md` asks, apart from these mistakes.
    pub(crate) fn with(mistakes: &[&str], mapping: &str, login: Login) -> Self {
        let mut switches = Switches { delete_allowed: false, ..Switches::default() };
        switches.unreadable_columns.insert("sys_user.phone".to_owned());
        let simulator = server::start(Options { switches, ..Options::default() }).expect("a free port");
        for mistake in mistakes {
            let mistake = Misconfiguration::parse(mistake).expect("it is known");
            simulator.misconfigure(&mistake).expect("it can be made");
        }
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let customer = Self { simulator, folder, login };
        customer.write(mapping);
        customer
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, mapping: &str) {
        let auth = match self.login {
            Login::Password => "{kind: basic, username: snowgate, password: {env: SNOW_PASSWORD}}",
            Login::Client => {
                "{kind: client_credentials, client_id: snowgate-client, client_secret: {env: SNOW_SECRET}}"
            }
        };
        let tenant = format!(
            "tenant: contoso\nservicenow:\n  instance: {}\n  auth: {auth}\n  user: snowgate\n\
             \x20 limits: {{calls_per_second: 100, calls_per_hour: 360000, concurrency: 16}}\nmapping: contoso.yaml\n\
             senders:\n  - {{name: soc, api_key_sha256: \"{}\"}}\n\
             callback: {{url: \"http://127.0.0.1:9/\", secret: {{env: CALLBACK_SECRET}}}}\n",
            self.simulator.url(),
            "0".repeat(64)
        );
        let settings = "server: {listen: \"127.0.0.1:0\", admin_listen: \"127.0.0.1:0\"}\nstore: {url: \"sqlite:s.db\"}\n\
                        tenants: tenants\nmappings: mappings\negress: {allow_private: [127.0.0.0/8]}\n";
        for (name, text) in
            [("snowgate.yaml", settings), ("tenants/contoso.yaml", &tenant), ("mappings/contoso.yaml", mapping)]
        {
            let path = self.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    fn environment(&self) -> Environment {
        Environment::empty_in(self.path())
            .with("SNOW_PASSWORD", "snowgate")
            .with("SNOW_SECRET", "snowgate-secret")
            .with("CALLBACK_SECRET", CALLBACK_SECRET)
    }

    pub(crate) fn tenant(&self) -> Tenant {
        let loaded = tenants::load(&self.path().join("snowgate.yaml"), &self.environment());
        let errors: Vec<String> =
            loaded.findings.iter().filter(|finding| finding.is_error()).map(|finding| finding.render(false)).collect();
        assert!(errors.is_empty(), "{}", errors.join("\n"));
        loaded.tenants.into_iter().next().expect("one tenant")
    }

    /// The tenant's client, at a pace that a test can wait for.
    pub(crate) fn client(&self) -> Client {
        let credentials = match self.login {
            Login::Password => {
                Credentials::Basic { username: "snowgate".to_owned(), password: Secret::new("snowgate") }
            }
            Login::Client => Credentials::ClientCredentials {
                client_id: "snowgate-client".to_owned(),
                client_secret: Secret::new("snowgate-secret"),
            },
        };
        Client::new(ClientOptions {
            instance: self.simulator.url().to_owned(),
            credentials,
            token_url: None,
            limits: Limits { calls_per_second: 10_000, calls_per_hour: 1_000_000, concurrency: 16 },
            transport: Transport::Http(Arc::new(Http::new(&HttpOptions::new(Arc::new(|_| Ok(())))).expect("a client"))),
            clock: Arc::new(SystemClock),
            luck_seed: 7,
            news: None,
            observer: None,
        })
    }

    /// What the check says.
    pub(crate) async fn check(&self) -> LiveReport {
        let (client, tenant) = (self.client(), self.tenant());
        let clock: SharedClock = Arc::new(SystemClock);
        let live = LiveCheck {
            client: &client,
            tenant: &tenant,
            deployment_key: "a key of this test",
            clock: &clock,
            ticket: true,
            progress: &|_| (),
        };
        live.run().await
    }
}

/// Errors and warnings, a line each.
pub(crate) fn complaints(report: &LiveReport) -> String {
    let bad = report.findings.iter().filter(|finding| finding.severity != Severity::Note);
    let line = |finding: &LiveFinding| format!("  {:?} {finding}\n    {}\n", finding.severity, finding.remedy);
    bad.map(line).collect()
}
