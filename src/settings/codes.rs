//! The codes of what can be wrong with settings and tenant files. A code never changes its meaning.
//!
//! Owns: code and meaning, for messages and documentation. Fails: it cannot.
//! Proved by: the test below, which holds `docs/configuration.md` to this table.

macro_rules! codes {
    ($($const:ident = $code:literal, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $const: &str = $code;)*
        /// Every code with its meaning, in the order of the documentation.
        pub const CODES: &[(&str, &str)] = &[$(($code, $meaning)),*];
    };
}

codes! {
    UNREADABLE = "S001", "A file or directory is missing, unreadable or too large. The message has the absolute path tried.";
    SYNTAX = "S002", "The file is not YAML, or has a key twice.";
    UNKNOWN_KEY = "S003", "The key does not exist here.";
    WRONG_TYPE = "S004", "The value is of another kind than expected, such as text where a number belongs.";
    MISSING_KEY = "S005", "A key that must be there is not.";
    OUT_OF_RANGE = "S006", "The value is none of the allowed ones, or outside the allowed range.";
    PLAIN_SECRET = "S010", "A secret stands in the file itself. Write `{env: NAME}` or `{file: PATH}`.";
    NO_VARIABLE = "S011", "The environment variable that should hold a secret is not set or empty.";
    NO_SECRET_FILE = "S012", "The file that should hold a secret is missing, unreadable, empty or too large.";
    BAD_SECRET = "S013", "The secret was found but is not of the right form. Its content is never shown.";
    TARGET = "S020", "The URL must not be called: not https, not on the operator's list, an address, …";
    EGRESS = "S021", "A host pattern or block of addresses in `egress` or `server.trusted_proxies` cannot be read.";
    LISTEN = "S022", "An address to listen on cannot be read, or is used twice.";
    OPEN_ADMIN = "S023", "The admin listener can be reached from other machines, and no operator is named.";
    STORE_URL = "S024", "The store's URL cannot be read.";
    DURATION = "S025", "Not a duration such as `500ms 5s 5m 2h 7d`, or outside the allowed range.";
    NAME = "S026", "Not a name that is allowed here.";
    LOG_LEVEL = "S027", "Not a level or list of levels for the log.";
    DUPLICATE_TENANT = "S030", "Two files describe the same tenant.";
    FILE_NAME = "S031", "The file is not named after the tenant in it (warning).";
    NO_SENDERS = "S032", "Nobody may push for this tenant (warning).";
    DUPLICATE_CREDENTIAL = "S033", "The same key or secret is given twice, so it would not tell who is calling.";
    SENDER = "S034", "A sender needs exactly one credential, and beside it only what belongs to that.";
    TOO_MANY = "S035", "There are more entries than allowed.";
    NOT_YET = "S036", "The file is right, but this version cannot do it yet. The message says what it can do.";
    NO_TENANTS = "S037", "There is no tenant (warning).";
    WEAK_AUTH = "S038", "The account's own password is used; it works, and the standards advise against it (warning).";
    DATA_LOSS = "S039", "A promise about durability is given up on purpose (warning).";
    IGNORED_FILE = "S040", "A file beside the tenants is not read because of its name (warning).";
    MAPPING_FILE = "S041", "The mapping file that a tenant names is missing or unreadable.";
    CRASH_POINT = "S042", "`SNOWGATE_CRASH_AT` is not `name:n`, or `SNOWGATE_LEASE` no duration (only builds for tests look at them).";
    UNSIGNED_WEBHOOK = "S043", "The webhook takes calls that are not signed (warning).";
    WEBHOOK = "S044", "A webhook needs `secrets` or `unsigned`, and `unsigned` exactly one of `basic` and `header`.";
    NO_CALLBACK = "S045", "What ServiceNow tells, or what is due, is told to nobody: there is no `callback` (warning).";
    CALENDAR = "S046", "A time zone, date, or range of hours that does not exist, or a week without a working day.";
    SERVICE_LEVELS = "S047", "Service levels that contradict each other, such as a reminder after the close.";
    NO_SERVICE_LEVEL = "S048", "`service_levels` promises nothing (warning).";
    NO_WAY_BACK = "S049", "There is a `callback`, and the mapping has no `to_incident` to say what goes there (warning).";
    PRIVATE_KEY = "S060", "The private key cannot sign: not PEM, encrypted, or neither RSA of 2048 bits nor P-256.";
    CERTIFICATE = "S061", "The client certificate cannot be used: not PEM, no https, or the key is not its own.";
    CERTIFICATE_ENDS = "S062", "The client certificate ends within 30 days, has ended, or is not good yet (warning).";
    REFRESH_TOKEN_ENDS = "S063", "The refresh token ends within 14 days, or has ended (warning).";
    REFRESH_TOKEN_DAY = "S064", "Nobody said when the refresh token was obtained, so its end comes unannounced (warning).";
    ROTATION = "S065", "One credential is rotated at a time, and the next one is another one.";
    WEAK_SENDER = "S066", "A sender's credential is weak, or nobody can use it (warning).";
    EXPIRY = "S067", "Not a date or time, or a sender's credential that has expired or will within 14 days (warning).";
    TOKENS = "S068", "Tokens of an OAuth issuer would be taken from everybody, or from nobody.";
    NEEDS_RESTART = "S070", "A setting changed that takes effect only when the gateway is started again (found by a reload).";
}

/// The table of the documentation, as Markdown.
pub fn markdown() -> String {
    let rows: Vec<String> = CODES.iter().map(|(code, meaning)| format!("| {code} | {meaning} |\n")).collect();
    format!("| code | meaning |\n|---|---|\n{}", rows.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_used_once() {
        let mut codes: Vec<&str> = CODES.iter().map(|(code, _)| *code).collect();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
        assert!(codes.is_sorted());
    }

    #[test]
    fn the_documentation_holds_this_very_table() {
        let page = include_str!("../../docs/configuration.md");
        assert!(page.contains(&markdown()), "docs/configuration.md must contain:\n{}", markdown());
    }
}
