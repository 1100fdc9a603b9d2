//! Senders that show tokens of an OAuth issuer: any issuer, and Azure Monitor's secure webhook as Microsoft documents it.
//!
//! Owns: what `oauth` and `azure_secure_webhook` mean. Never: asks an issuer for anything.
//! Fails: by collecting findings. Proved by: `tests/settings.rs`.

use sha2::{Digest, Sha256};

use super::codes;
use super::raw_senders::{RawAzure, RawTokens};
use super::reader::Reader;
use crate::limits::{TOKEN_WORD_CHARS_MAX, TOKEN_WORDS_MAX};
use crate::security::target::{EgressPolicy, Extent, Target};
use crate::security::token::{Issuer, KeySource, TokenRules};

/// The application with which Azure Monitor calls, `AzNS AAD Webhook`.
const AZURE_CLIENT: &str = "461e8683-5575-4561-ac7f-899cc907d62a";
/// The same in Azure Government.
const AZURE_GOVERNMENT_CLIENT: &str = "f1f34126-d4ef-40e1-ad4b-bf5d47b4860d";
/// The role that an administrator gives to it.
const AZURE_ROLE: &str = "ActionGroupsSecureWebhook";

pub(super) fn rules(
    reader: &mut Reader<'_>,
    egress: Option<&EgressPolicy>,
    raw: RawTokens,
    path: &str,
) -> Option<TokenRules> {
    let RawTokens { issuer, audience, clients, roles, scopes, subject, jwks_url } = raw;
    let keys = if let Some(url) = jwks_url {
        keys_at(reader, egress, &url, path)
    } else {
        let document = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        discovered(reader, egress, &document, &format!("{path}.issuer"))
    };
    let audiences = words(reader, audience.into_vec(), &format!("{path}.audience"));
    let clients = words(reader, clients.unwrap_or_default(), &format!("{path}.clients"));
    let roles = words(reader, roles.unwrap_or_default(), &format!("{path}.roles"));
    let scopes = words(reader, scopes.unwrap_or_default(), &format!("{path}.scopes"));
    let taken = TokenRules {
        issuers: vec![issuer_of(&issuer, keys?)],
        audiences: audiences?,
        clients: clients?,
        roles: roles?,
        scopes: scopes?,
        subject,
    };
    if taken.audiences.is_empty() {
        reader.error(codes::TOKENS, &format!("{path}.audience"), "`audience` needs at least one entry");
        return None;
    }
    if taken.clients.is_empty() && taken.roles.is_empty() && taken.scopes.is_empty() && taken.subject.is_none() {
        let message = "every token that the issuer gives to anybody for this audience would be taken";
        reader.error(codes::TOKENS, path, message);
        reader.hint("say who it is with `clients`, `roles`, `scopes` or `subject`");
        return None;
    }
    Some(taken)
}

/// Both versions of tokens: which one comes is set in the application that the webhook is for.
pub(super) fn azure_rules(
    reader: &mut Reader<'_>,
    egress: Option<&EgressPolicy>,
    raw: RawAzure,
    path: &str,
) -> Option<TokenRules> {
    let RawAzure { directory, audience, government, jwks_url } = raw;
    let directory = directory_id(reader, &directory, &format!("{path}.directory"));
    let audiences = words(reader, audience.into_vec(), &format!("{path}.audience"));
    let (host, client) = if government {
        ("https://login.microsoftonline.us", AZURE_GOVERNMENT_CLIENT)
    } else {
        ("https://login.microsoftonline.com", AZURE_CLIENT)
    };
    let directory = directory?;
    let (first, second) = (format!("https://sts.windows.net/{directory}/"), format!("{host}/{directory}/v2.0"));
    let at = format!("{path}.directory");
    let issuers = if let Some(url) = jwks_url {
        let keys = keys_at(reader, egress, &url, path)?;
        vec![issuer_of(&first, keys.clone()), issuer_of(&second, keys)]
    } else {
        // The directory's own document names the first version's issuer, so that one host is enough.
        let old = discovered(reader, egress, &format!("{host}/{directory}/.well-known/openid-configuration"), &at)?;
        let new = discovered(reader, egress, &format!("{second}/.well-known/openid-configuration"), &at)?;
        vec![issuer_of(&first, old), issuer_of(&second, new)]
    };
    let audiences = audiences?;
    if audiences.is_empty() {
        reader.error(codes::TOKENS, &format!("{path}.audience"), "`audience` needs at least one entry");
        return None;
    }
    let (clients, roles) = (vec![client.to_owned()], vec![AZURE_ROLE.to_owned()]);
    Some(TokenRules { issuers, audiences, clients, roles, scopes: Vec::new(), subject: None })
}

fn issuer_of(name: &str, keys: KeySource) -> Issuer {
    Issuer { name: name.into(), keys }
}

fn keys_at(reader: &mut Reader<'_>, egress: Option<&EgressPolicy>, url: &str, path: &str) -> Option<KeySource> {
    target(reader, egress, url, &format!("{path}.jwks_url")).map(KeySource::At)
}

fn discovered(reader: &mut Reader<'_>, egress: Option<&EgressPolicy>, url: &str, path: &str) -> Option<KeySource> {
    target(reader, egress, url, path).map(KeySource::Discovered)
}

fn target(reader: &mut Reader<'_>, egress: Option<&EgressPolicy>, url: &str, path: &str) -> Option<Target> {
    let checked = egress?.check(url, Extent::Path);
    let target = reader.check(codes::TARGET, path, checked);
    if target.is_none() {
        if url.contains('@') {
            // It may hold a password.
            reader.cut();
        }
        reader
            .hint("the issuer's keys are fetched from there: its host must be in the operator's `egress.allow_hosts`");
    }
    target
}

/// A GUID in lower case.
fn directory_id(reader: &mut Reader<'_>, text: &str, path: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let lengths: Vec<usize> = lower.split('-').map(str::len).collect();
    let is_id = lengths == [8, 4, 4, 4, 12] && lower.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    let message = || format!("`{}` is not the id of a directory, such as `11111111-2222-…`", text.escape_debug());
    reader.check(codes::NAME, path, is_id.then_some(lower).ok_or_else(message))
}

fn words(reader: &mut Reader<'_>, words: Vec<String>, path: &str) -> Option<Vec<String>> {
    if words.len() > TOKEN_WORDS_MAX {
        reader.error(codes::TOO_MANY, path, format!("there are at most {TOKEN_WORDS_MAX} entries here"));
        return None;
    }
    let is_word = |word: &String| {
        (1..=TOKEN_WORD_CHARS_MAX).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if let Some(wrong) = words.iter().find(|word| !is_word(word)) {
        let shown: String = wrong.escape_debug().take(60).collect();
        let message = format!("`{shown}` is not 1 to {TOKEN_WORD_CHARS_MAX} visible characters of ASCII");
        reader.error(codes::NAME, path, message);
        return None;
    }
    Some(words)
}

/// Whether one token could be good for both: the same issuer gives it for the same audience, and neither its client nor its
/// subject tells them apart. Roles and scopes do not: a token may have several.
pub(super) fn may_share(one: &TokenRules, other: &TokenRules) -> bool {
    let share = |one: &[String], other: &[String]| one.iter().any(|word| other.contains(word));
    let same_issuer = one.issuers.iter().any(|issuer| other.issuers.iter().any(|known| known.name == issuer.name));
    let clients_differ = !one.clients.is_empty() && !other.clients.is_empty() && !share(&one.clients, &other.clients);
    let subjects_differ = one.subject.is_some() && other.subject.is_some() && one.subject != other.subject;
    same_issuer && share(&one.audiences, &other.audiences) && !clients_differ && !subjects_differ
}

/// One for each combination of issuer, audience and client: two senders that share one would take the same token.
pub(super) fn digests(rules: &TokenRules) -> Vec<(&'static str, [u8; 32])> {
    let TokenRules { issuers, audiences, clients, roles, scopes, subject } = rules;
    let sorted = |words: &[String]| {
        let mut words = words.to_vec();
        words.sort();
        words
    };
    let any = [String::new()];
    let clients = if clients.is_empty() { &any[..] } else { clients };
    let mut digests = Vec::new();
    for issuer in issuers {
        for audience in audiences {
            for client in clients {
                let said =
                    format!("{issuer:?} {audience:?} {client:?} {:?} {:?} {subject:?}", sorted(roles), sorted(scopes));
                digests.push(("oauth", Sha256::digest(said.as_bytes()).into()));
            }
        }
    }
    digests
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(issuer: &str, audience: &str, clients: &[&str], roles: &[&str], subject: Option<&str>) -> TokenRules {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let policy = EgressPolicy { allow_hosts: vec!["login.example".parse().unwrap()], allow_private: Vec::new() };
        let keys = KeySource::At(policy.check("https://login.example/keys", Extent::Path).unwrap());
        TokenRules {
            issuers: vec![issuer_of(issuer, keys)],
            audiences: words(&[audience]),
            clients: words(clients),
            roles: words(roles),
            scopes: Vec::new(),
            subject: subject.map(str::to_owned),
        }
    }

    #[test]
    fn only_clients_or_subjects_tell_tokens_of_one_issuer_apart() {
        let one = taken("https://i", "a", &["c"], &["r"], Some("s"));
        for (other, expected) in [
            (taken("https://i", "a", &["c"], &["r"], Some("s")), true),
            (taken("https://i", "a", &["c"], &["another"], Some("s")), true),
            (taken("https://i", "a", &["d", "c"], &[], None), true),
            (taken("https://i", "a", &[], &["r"], None), true),
            (taken("https://i", "a", &["d"], &["r"], Some("s")), false),
            (taken("https://i", "a", &["c"], &["r"], Some("t")), false),
            (taken("https://other", "a", &["c"], &["r"], Some("s")), false),
            (taken("https://i", "b", &["c"], &["r"], Some("s")), false),
        ] {
            assert_eq!((may_share(&one, &other), may_share(&other, &one)), (expected, expected), "{other:?}");
        }
    }
}
