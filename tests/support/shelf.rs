//! Where a managed service keeps its files: a small server over real HTTP that can be slow, or not give them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

/// How it answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// With the file.
    Give,
    /// With the file, after a while.
    GiveLate(Duration),
    /// With this status.
    Refuse(u16),
}

/// A file as it is given out.
#[derive(Clone, Debug)]
struct Kept {
    content: Vec<u8>,
    media_type: String,
}

#[derive(Debug, Default)]
struct Memory {
    files: BTreeMap<String, Kept>,
    manner: Option<Manner>,
    asked: usize,
    credentials: usize,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Shelf {
    url: String,
    memory: Arc<Mutex<Memory>>,
    handle: ServerHandle,
}

impl Shelf {
    /// An empty one at a free port.
    pub(crate) fn start() -> Self {
        let memory = Arc::new(Mutex::new(Memory::default()));
        let shared = Arc::clone(&memory);
        let server = HttpServer::new(move || {
            App::new().app_data(web::Data::new(Arc::clone(&shared))).default_service(web::to(give))
        });
        let server = server.workers(1).disable_signals().shutdown_timeout(1).bind(("127.0.0.1", 0)).expect("a port");
        let address = server.addrs().first().copied().expect("bound");
        let server = server.run();
        let handle = server.handle();
        drop(snowgate::runtime::tasks::spawn("shelf", server));
        Self { url: format!("http://{address}"), memory, handle }
    }

    /// Puts a file there, and gives its address.
    pub(crate) fn keeps(&self, name: &str, media_type: &str, content: &[u8]) -> String {
        let kept = Kept { content: content.to_vec(), media_type: media_type.to_owned() };
        lock(&self.memory).files.insert(format!("/{name}"), kept);
        format!("{}/{name}?token=canary-of-a-file", self.url)
    }

    /// From now on it answers so.
    pub(crate) fn behaves(&self, manner: Manner) {
        lock(&self.memory).manner = Some(manner);
    }

    /// How often it was asked for anything.
    pub(crate) fn asked(&self) -> usize {
        lock(&self.memory).asked
    }

    /// How often somebody showed credentials.
    pub(crate) fn credentials_seen(&self) -> usize {
        lock(&self.memory).credentials
    }
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn give(request: HttpRequest, memory: web::Data<Arc<Mutex<Memory>>>) -> HttpResponse {
    let (manner, kept) = {
        let mut memory = lock(&memory);
        memory.asked += 1;
        memory.credentials += usize::from(request.headers().contains_key("authorization"));
        (memory.manner.unwrap_or(Manner::Give), memory.files.get(request.path()).cloned())
    };
    match (manner, kept) {
        (Manner::Refuse(status), _) => {
            HttpResponse::build(actix_web::http::StatusCode::from_u16(status).expect("a status")).finish()
        }
        (_, None) => HttpResponse::NotFound().finish(),
        (Manner::GiveLate(wait), Some(kept)) => {
            tokio::time::sleep(wait).await;
            HttpResponse::Ok().content_type(kept.media_type).body(kept.content)
        }
        (Manner::Give, Some(kept)) => HttpResponse::Ok().content_type(kept.media_type).body(kept.content),
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        // The command is sent at once; only its completion would be awaited.
        drop(self.handle.stop(false));
    }
}
