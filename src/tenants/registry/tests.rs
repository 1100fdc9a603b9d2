//! That a refusal costs the same whoever is named: signatures are counted, because on a busy machine times prove nothing.

use std::sync::Arc;

use super::*;
use crate::security::signature::macs_of;
use crate::settings::{Environment, load};

const NOW: Timestamp = Timestamp::from_millis(1_795_327_200_000);
const MAPPING: &str = include_str!("../../../tests/fixtures/mappings/contract.yaml");
const WANTED: Wanted<'static> = Wanted { access: Access::Events, now: NOW };

/// Tenants with none, one and three secrets of each signing kind.
fn registry() -> Registry {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::create_dir(path.join("tenants")).unwrap();
    std::fs::write(path.join("snowgate.yaml"), "tenants: tenants\n").unwrap();
    let mut environment = Environment::empty_in(path).with("CLIENT_SECRET", "s3");
    for (tenant, count) in [("none", 0), ("one", 1), ("three", 3)] {
        let mut senders = "senders:\n".to_owned();
        for number in 0..count {
            let (_, secret) = WebhookSecret::from_entropy([number + count * 16; 32]);
            environment = environment
                .with(&format!("W_{tenant}_{number}"), secret.expose())
                .with(&format!("P_{tenant}_{number}"), &"pagerduty-secret".repeat(usize::from(number + count)));
            let entries = format!(
                "  - {{name: rooms, webhook_secret: {{env: W_{tenant}_{number}}}}}\n  \
                 - {{name: pd, pagerduty_secret: {{env: P_{tenant}_{number}}}}}\n"
            );
            senders.push_str(&entries);
        }
        let senders = if count == 0 { String::new() } else { senders };
        let file = format!(
            "tenant: {tenant}\nservicenow:\n  instance: https://{tenant}.service-now.com\n  auth: {{kind: client_credentials, \
             client_id: us, client_secret: {{env: CLIENT_SECRET}}}}\nmapping: x.yaml\n{senders}"
        );
        std::fs::write(path.join(format!("tenants/{tenant}.yaml")), file).unwrap();
    }
    let loaded = load(std::path::Path::new("snowgate.yaml"), &environment);
    let source = crate::mapping::SourceFile::new("x.yaml", MAPPING.to_owned());
    let mapping = Arc::new(crate::mapping::compile(&source).0.unwrap());
    let tenants = loaded.tenants.into_iter().map(|tenant| Tenant::new(tenant, Arc::clone(&mapping), [0; 32])).collect();
    let registry = Registry::default();
    registry.replace(tenants);
    assert_eq!(registry.all().len(), 3, "{:?}", loaded.findings);
    registry
}

fn check(kind: &str, enter: impl Fn(&Registry, &str) -> Result<Authenticated, Unauthenticated>) {
    let registry = registry();
    let work = |tenant: &str| macs_of(|| assert!(enter(&registry, tenant).is_err(), "{kind} {tenant}"));
    let counted = ["none", "one", "three", "nobody", "", "../one", "ONE"].map(work);
    assert!(counted.iter().all(|work| *work == 3), "{kind}: {counted:?}");
}

#[test]
fn a_wrong_signature_costs_the_same_whoever_is_named() {
    let timestamp = NOW.seconds().to_string();
    let (stranger, _) = WebhookSecret::from_entropy([255; 32]);
    let signature = signature::sign("msg_1", NOW, b"{}", &stranger);
    let headers = SignedHeaders { id: "msg_1", timestamp: &timestamp, signature: &signature };
    let request = SignedRequest { headers, body: b"{}", now: NOW };
    check("standard webhooks", |registry, tenant| {
        registry.authenticate(tenant, Credential::Signature(request), WANTED)
    });
    check("servicenow", |registry, tenant| registry.authenticate_instance(tenant, InstanceCredential::Signed(request)));
}

#[test]
fn a_wrong_signature_of_pagerduty_costs_the_same_whoever_is_named() {
    let signatures = format!("v1={}", "ab".repeat(32));
    let credential = Credential::Pagerduty { signatures: &signatures, body: b"{}" };
    check("pagerduty", |registry, tenant| registry.authenticate(tenant, credential, WANTED));
}
