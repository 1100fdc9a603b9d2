//! Log lines on stderr: one per record, for people or as JSON, with every control character escaped.
//!
//! Owns: format, level and escaping, and the line a panic leaves behind. Never: opens a file, rotates, colours (what a
//! service writes is read through tools); prints what a panic formatted, since that may quote data.
//! Fails: only for a filter that cannot be parsed, or when a logger is in place already. Proved by: the tests below.

use std::io::{self, Write};

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object per line, for machines.
    Json,
}

/// What `init` can fail with.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Not a filter such as `info` or `info,snowgate::worker=debug`.
    #[error("`{filter}` is not a log filter; write a level such as `info`, or `info,snowgate::worker=debug`")]
    Filter {
        /// What was given.
        filter: String,
        /// What the parser says.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The process has a logger already.
    #[error("a logger is installed in this process already")]
    Taken(#[from] tracing_subscriber::util::TryInitError),
}

/// Installs the logger of this process and the panic hook. `filter` is what `RUST_LOG` takes.
pub fn init(format: LogFormat, filter: &str) -> Result<(), LogError> {
    let filter = parse_filter(filter)?;
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Human => registry.with(human(OneLine(io::stderr))).try_init()?,
        LogFormat::Json => registry.with(json(OneLine(io::stderr))).try_init()?,
    }
    std::panic::set_hook(Box::new(tell_panic));
    Ok(())
}

/// What the HTTP parser calls an error is any byte a stranger sends it. Nobody here can mend that, and whoever is woken by
/// ERROR could be woken from outside; a filter that names `actix_http` shows it.
const STRANGERS_BYTES: &str = "actix_http";

/// Whether `init` would take this filter; for the settings' check.
pub fn parse_filter(filter: &str) -> Result<EnvFilter, LogError> {
    let quiet = format!("{STRANGERS_BYTES}=off,{filter}");
    let whole = if filter.contains(STRANGERS_BYTES) { filter } else { &quiet };
    EnvFilter::builder().parse(whole).map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}

fn human<S, W>(writer: W) -> impl tracing_subscriber::Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer)
}

fn json<S, W>(writer: W) -> impl tracing_subscriber::Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(writer)
}

/// A literal message is ours and may be shown; a formatted one may quote data, so outside debug builds only its place is.
fn tell_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let message = match panic.payload_as_str() {
        Some(text) if cfg!(debug_assertions) || panic.payload().is::<&'static str>() => text,
        Some(_) => "(its message may quote data and is withheld)",
        None => "(no message)",
    };
    tracing::error!(place, "Panicked at {place}: {message}");
}

/// Writes through an [`Escaping`] writer: the formatter hands over one whole record per `write`.
#[derive(Clone, Copy, Debug)]
struct OneLine<M>(M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for OneLine<M> {
    type Writer = Escaping<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Escaping(self.0.make_writer())
    }
}

/// Escapes whatever could forge a line, move the cursor or turn the reading direction; keeps the final line feed.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.0.write_all(escaped(record).as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// `\u` and four digits is an escape in JSON too, and every character meant here has four.
fn escaped(record: &[u8]) -> String {
    use std::fmt::Write as _;
    let text = String::from_utf8_lossy(record);
    let (body, end) = text.strip_suffix('\n').map_or_else(|| (&*text, ""), |body| (body, "\n"));
    let mut line = String::with_capacity(text.len());
    for character in body.chars() {
        if is_treacherous(character) {
            // Writing to a `String` cannot fail.
            let written = write!(line, "\\u{:04x}", u32::from(character));
            debug_assert!(written.is_ok());
        } else {
            line.push(character);
        }
    }
    line.push_str(end);
    line
}

/// Controls (C0, DEL, C1), line and paragraph separators, and the characters that turn the reading direction.
fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const HOSTILE: &str = "a\r\nFAKE ERROR line\u{1b}[31m red \u{202e}txt\"} \u{85} \u{2028}end";

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, work: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = OneLine({
            let page = page.clone();
            move || page.clone()
        });
        let registry = tracing_subscriber::registry().with(parse_filter("info").unwrap());
        match format {
            LogFormat::Human => tracing::subscriber::with_default(registry.with(human(writer)), work),
            LogFormat::Json => tracing::subscriber::with_default(registry.with(json(writer)), work),
        }
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn hostile_text_stays_on_one_line_in_both_formats() {
        for format in [LogFormat::Human, LogFormat::Json] {
            let text = logged(format, || {
                let span = tracing::info_span!("request", who = HOSTILE, shown = %HOSTILE);
                let _entered = span.enter();
                tracing::info!(field = HOSTILE, shown = %HOSTILE, "message {HOSTILE}");
            });
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            assert!(!text.trim_end_matches('\n').chars().any(is_treacherous), "{text:?}");
        }
    }

    #[test]
    fn json_lines_stay_valid_and_keep_the_text() {
        let text = logged(LogFormat::Json, || tracing::info!(tenant.id = HOSTILE, "message {HOSTILE}"));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["tenant.id"], HOSTILE);
        assert_eq!(line["message"], format!("message {HOSTILE}"));
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn the_filter_decides_what_is_written() {
        assert_eq!(logged(LogFormat::Human, || tracing::debug!("quiet")), "");
    }

    #[test]
    fn a_wrong_filter_says_what_would_be_right() {
        let error = parse_filter("snowgate=loud").unwrap_err();
        assert!(error.to_string().starts_with("`snowgate=loud` is not a log filter; write a level"), "{error}");
    }
}
