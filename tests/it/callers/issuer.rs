//! Who issues tokens: a real OAuth server (npm `oidc-provider`) as a process, and a server of keys for tokens made here.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const CLIENT_SECRET: &str = "canary-secret-of-an-oauth-client";

/// The real OAuth server; its process ends with this.
pub(super) struct OAuthServer {
    child: Child,
    pub(super) name: String,
    http: reqwest::Client,
}

impl OAuthServer {
    /// Starts it; its packages are made by `scripts/test-node.sh`.
    pub(super) fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = root.join("target/test-node/issuer");
        assert!(folder.exists(), "no Node packages at {}; run ./scripts/test-node.sh", folder.display());
        let script = std::fs::File::open(root.join("tests/issuer/server.mjs")).expect("the script");
        let mut child = Command::new("node")
            // From standard input it finds the packages of the folder it runs in.
            .args(["--input-type=module", "-", "soc", CLIENT_SECRET])
            .current_dir(folder)
            .env_remove("NODE_OPTIONS")
            .stdin(script)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node");
        let mut line = String::new();
        let out = child.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("it says where it is");
        let said: Value = serde_json::from_str(&line).expect("a line of JSON");
        let name = said["issuer"].as_str().expect("its name").to_owned();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { child, name, http }
    }

    /// A token for this audience.
    pub(super) async fn token(&self, audience: &str) -> String {
        let form = [("grant_type", "client_credentials"), ("resource", audience), ("scope", "incidents.push")];
        let request = self.http.post(format!("{}/token", self.name)).basic_auth("soc", Some(CLIENT_SECRET)).form(&form);
        let reply = crate::support::Reply::of(request).await.expect("an answer").expect(200);
        reply.json()["access_token"].as_str().expect("a token").to_owned()
    }

    /// Signs with new keys from now on.
    pub(super) async fn rotate(&self) {
        let reply = crate::support::Reply::of(self.http.post(format!("{}/rotate", self.name))).await;
        reply.expect("an answer").expect(204);
    }
}

impl Drop for OAuthServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A key that signs tokens.
pub(super) struct Key {
    id: String,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl Key {
    pub(super) fn rsa(id: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
        // PKCS #8 wraps the key as RFC 8017 writes it in 26 bytes.
        let private = EncodingKey::from_rsa_der(&pair.serialize_der()[26..]);
        Self { id: id.to_owned(), algorithm: Algorithm::RS256, private }
    }

    pub(super) fn curve(id: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        Self {
            id: id.to_owned(),
            algorithm: Algorithm::ES256,
            private: EncodingKey::from_ec_der(&pair.serialize_der()),
        }
    }

    /// A token that says this, signed.
    pub(super) fn sign(&self, claims: &Value) -> String {
        let algorithm = match self.algorithm {
            Algorithm::RS256 => "RS256",
            _ => "ES256",
        };
        let message = message(&json!({"typ": "JWT", "alg": algorithm, "kid": self.id}), claims);
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.private, self.algorithm).expect("a signature");
        format!("{message}.{signature}")
    }

    /// What is published of it.
    pub(super) fn public(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.private, self.algorithm).expect("a public key");
        let mut jwk = serde_json::to_value(jwk).expect("JSON");
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        // As Entra does, which names no algorithm.
        jwk.as_object_mut().expect("an object").remove("alg");
        jwk
    }
}

/// The two parts that are signed.
pub(super) fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// Documents over real HTTP; what is not there is 503.
pub(super) struct KeyServer {
    pub(super) url: String,
    documents: Arc<Mutex<BTreeMap<String, String>>>,
}

impl KeyServer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let documents = Arc::new(Mutex::new(BTreeMap::new()));
        #[expect(clippy::disallowed_methods, reason = "a server of the test, which ends with the test's runtime")]
        drop(tokio::spawn(serve(listener, Arc::clone(&documents))));
        Self { url, documents }
    }

    /// Publishes these keys at `/keys`.
    pub(super) fn publish(&self, keys: &[&Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
        self.documents.lock().expect("no panic").insert("/keys".to_owned(), json!({"keys": keys}).to_string());
    }
}

async fn serve(listener: TcpListener, documents: Arc<Mutex<BTreeMap<String, String>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = Vec::new();
        let mut piece = [0; 1024];
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            match stream.read(&mut piece).await {
                Ok(count) if count > 0 => head.extend_from_slice(&piece[..count]),
                _ => break,
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let document = documents.lock().expect("no panic").get(path).cloned();
        let (status, body) = document.map_or(("503 Service Unavailable", String::new()), |body| ("200 OK", body));
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        // Whoever hung up does not want it.
        drop(stream.write_all(answer.as_bytes()).await);
    }
}
