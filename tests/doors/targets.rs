//! Where a tenant's file may point us: every spelling of an address inside is refused when the file is read, and what a
//! name resolves to is asked about again when it is dialled.

use std::process::Stdio;

use crate::support::{Event, Home, Instance, Tenant};

/// Spellings of places that no tenant may name, each as it would stand in a file.
const INSIDE: [&str; 30] = [
    "https://127.1",
    "https://0x7f000001",
    "https://2130706433",
    "https://017700000001",
    "https://[::1]",
    "https://[::ffff:169.254.169.254]",
    "https://[64:ff9b::a9fe:a9fe]",
    "https://[2002:a9fe:a9fe::]",
    "https://[fd00:ec2::254]",
    "https://100.100.100.200",
    "https://169.254.169.254",
    "https://10.0.0.1",
    "https://[fe80::1]",
    "https://1.1.1.1",
    "http://contoso.service-now.com",
    "https://user@contoso.service-now.com",
    "https://user:canary-password-7fQ2@contoso.service-now.com",
    "https://contoso.service-now.com:22",
    "https://contoso.local",
    "https://localhost",
    "https://contoso.service-now.com.",
    "https://contoso.sеrvice-now.com",
    "https://xn--contso-9ta.service-now.com",
    "https://contoso.service-now.com.evil.example",
    "https://evilservice-now.com",
    "https://evil.example#.service-now.com",
    "https://evil.example?.service-now.com",
    "https://metadata.google.internal",
    "file:///etc/passwd",
    "gopher://contoso.service-now.com",
];

/// What `snowgate check` says of a home whose operator opened nothing but ServiceNow, and whether it lets it pass.
fn checked(home: &Home) -> (bool, String) {
    home.write(
        "snowgate.yaml",
        "server: {listen: \"127.0.0.1:0\", admin_listen: \"127.0.0.1:0\"}\nstore: {url: \"sqlite:snowgate.db\"}\n\
         tenants: tenants\nmappings: mappings\negress: {allow_hosts: [\"*.service-now.com\"]}\n",
    );
    let command =
        home.command(&["check", "--config", "snowgate.yaml"]).stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = command.expect("it runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

#[test]
fn every_spelling_of_a_place_inside_is_refused_when_the_file_is_read() {
    let plain = Home::of(&[Tenant::named("contoso", "https://contoso.service-now.com")]);
    let (passes, said) = checked(&plain);
    assert!(passes, "{said}");
    let names: Vec<String> = (0..INSIDE.len()).map(|number| format!("tenant-{number}")).collect();
    let pointed = names.iter().zip(INSIDE).map(|(name, url)| Tenant::named(name, &format!("\"{url}\"")));
    let home = Home::of(&pointed.collect::<Vec<_>>());
    let (passes, said) = checked(&home);
    assert!(!passes, "{said}");
    assert!(!said.contains("canary-password"), "a password of a URL is shown: {said}");
    for (name, url) in names.iter().zip(INSIDE) {
        let place = format!("tenants/{name}.yaml");
        let finding = said.lines().find(|line| line.contains(&place) && line.contains("S020"));
        assert!(finding.is_some() || said.contains(&format!("{place}:3:13")), "{url} was not refused: {said}");
    }
}

#[test]
fn a_callback_is_held_to_the_same() {
    let names: Vec<String> = (0..INSIDE.len()).map(|number| format!("tenant-{number}")).collect();
    let pointed = names.iter().zip(INSIDE).map(|(name, url)| {
        let more = format!("callback: {{url: \"{url}\", secret: {{env: SNOW_PASSWORD}}}}\n");
        Tenant::named(name, "https://contoso.service-now.com").and(&more)
    });
    let home = Home::of(&pointed.collect::<Vec<_>>());
    let (passes, said) = checked(&home);
    assert!(!passes, "{said}");
    for (name, url) in names.iter().zip(INSIDE) {
        let place = format!("tenants/{name}.yaml");
        let refused = said.lines().any(|line| line.contains(&place) && line.contains("S020"));
        assert!(refused, "{url} was not refused for {name}: {said}");
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_dialled_although_the_operator_allows_the_name() {
    let instance = Instance::start();
    let port = instance.url().rsplit(':').next().expect("a port").to_owned();
    let home = Home::of(&[Tenant::named("contoso", &format!("http://localhost:{port}"))]);
    // The name is on the list, and something private is opened; the address that the name has is not.
    home.write(
        "snowgate.yaml",
        &format!(
            "server: {{listen: \"127.0.0.1:0\", admin_listen: \"127.0.0.1:0\"}}\nstore: {{url: \"sqlite:snowgate.db\"}}\n\
             tenants: tenants\nmappings: mappings\negress: {{allow_hosts: [\"localhost:{port}\"], allow_private: [10.0.0.0/8]}}\n"
        ),
    );
    let gateway = home.start().await;
    gateway.leaves_work();
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    let said = |log: &str| log.contains("address_forbidden") || log.contains("not opened") || log.contains("loopback");
    crate::support::eventually("it is told why", async || said(&gateway.log()).then_some(())).await;
    assert!(instance.calls().is_empty(), "it was dialled: {:?}", instance.calls());
}
