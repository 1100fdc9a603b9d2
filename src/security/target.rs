//! Which URLs a tenant may point us at: checked when the file is read, and again for every address that is dialled.
//!
//! Owns: the operator's egress policy. Never: resolves or connects. Two gates, because each alone can be passed: a
//! name on the list may resolve to a private address, and a public address may belong to a name nobody allowed.
//! Plain `http` is for what the operator opened: whatever the name, it is dialled only at such an address.
//! Fails: closed, with the reason. Proved by: the tests below.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

use super::address::{self, Cidr};
use crate::limits::TARGET_URL_CHARS_MAX;

/// The operator's word on where we may connect to. No tenant can widen it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    /// Names that may be connected to.
    pub allow_hosts: Vec<HostPattern>,
    /// Addresses that may be connected to although they are not public.
    pub allow_private: Vec<Cidr>,
}

/// A name such as `soc.example`, every name below one such as `*.service-now.com`, with a port if it is not 443.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// Without the `*.`.
    name: String,
    /// Whether it began with `*.`: any depth below `name`, but not `name` itself.
    below: bool,
    port: Option<u16>,
}

/// Why a text is not a pattern of host names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host pattern: write a name such as `soc.example`, or `*.service-now.com` for all below it")]
pub struct InvalidPattern(String);

/// A URL that passed the check; only such a one may be called on a tenant's behalf.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target(Url);

/// How much of a URL may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Scheme, host and port alone, such as an instance's address.
    Origin,
    /// With a path and a query, such as a callback's.
    Path,
}

/// Why a URL must not be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForbiddenTarget {
    /// Too long to be meant.
    #[error("a URL has at most {TARGET_URL_CHARS_MAX} characters")]
    TooLong,
    /// Spaces, control characters or backslashes, which parsers read differently.
    #[error("a URL holds no spaces, control characters or backslashes")]
    Characters,
    /// Not a URL.
    #[error("not a URL such as `https://contoso.service-now.com`: {0}")]
    Form(#[from] url::ParseError),
    /// Neither https nor http.
    #[error("`{0}:` is not a scheme we speak; use `https:`")]
    Scheme(String),
    /// Plain http to a host that the operator did not open.
    #[error("plain `http:` is only for addresses in the operator's `egress.allow_private`; use `https:`")]
    Plain,
    /// A user name or password in the URL.
    #[error("a URL must not carry a user name or password; they belong into `auth`, as secrets")]
    Userinfo,
    /// No host at all.
    #[error("the URL has no host")]
    NoHost,
    /// The host is an address.
    #[error("the host is the address {0}; use a name, or have the operator add it to `egress.allow_private`")]
    Address(IpAddr),
    /// The host's address is closed for good.
    #[error("the address {0} is {1} and must not be called")]
    Closed(IpAddr, &'static str),
    /// The host ends in a dot.
    #[error("the host name ends in a dot; write it without")]
    TrailingDot,
    /// The host is not plain ASCII, or punycode.
    #[error("the host name is internationalised; only plain ASCII names are allowed, since others can look alike")]
    Internationalised,
    /// Not on the operator's list.
    #[error("`{0}` is not in the operator's `egress.allow_hosts`")]
    Host(String),
    /// A port the operator did not allow.
    #[error("port {0} is not allowed; use 443, or have the operator add `{1}:{0}` to `egress.allow_hosts`")]
    Port(u16, String),
    /// A path, query or fragment where only an origin may stand.
    #[error("give only scheme and host, such as `https://contoso.service-now.com`")]
    NotAnOrigin,
    /// A fragment, which is never sent.
    #[error("the URL has a `#fragment`, which is never sent")]
    Fragment,
}

impl EgressPolicy {
    /// Checks a URL from a tenant's file.
    pub fn check(&self, text: &str, extent: Extent) -> Result<Target, ForbiddenTarget> {
        check_characters(text)?;
        let url = Url::parse(text)?;
        if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
            return Err(ForbiddenTarget::Userinfo);
        }
        if !matches!(url.scheme(), "https" | "http") {
            return Err(ForbiddenTarget::Scheme(url.scheme().to_owned()));
        }
        match url.host().ok_or(ForbiddenTarget::NoHost)? {
            Host::Domain(name) => self.check_name(text, &url, name)?,
            Host::Ipv4(address) => self.check_address(address.into())?,
            Host::Ipv6(address) => self.check_address(address.into())?,
        }
        if url.fragment().is_some() {
            return Err(ForbiddenTarget::Fragment);
        }
        if extent == Extent::Origin && (url.path() != "/" || url.query().is_some()) {
            return Err(ForbiddenTarget::NotAnOrigin);
        }
        Ok(Target(url))
    }

    /// Why this address must not be dialled for `target`; `None` if it may. To be asked for the very address that is
    /// about to be connected to.
    pub fn forbids(&self, target: &Target, address: IpAddr) -> Option<&'static str> {
        address::is_forbidden(address, &self.allow_private).or_else(|| {
            let plain_to_strangers = target.is_plain() && !address::is_opened(address, &self.allow_private);
            plain_to_strangers.then_some("not opened for plain http")
        })
    }

    fn check_name(&self, text: &str, url: &Url, name: &str) -> Result<(), ForbiddenTarget> {
        if name.ends_with('.') {
            return Err(ForbiddenTarget::TrailingDot);
        }
        if !text.is_ascii() || name.split('.').any(|label| label.starts_with("xn--")) {
            return Err(ForbiddenTarget::Internationalised);
        }
        let plain = url.scheme() == "http";
        // RFC 6761: `localhost` is this machine, so it is open exactly when 127.0.0.1 is.
        if name == "localhost" && address::is_opened(IpAddr::from([127, 0, 0, 1]), &self.allow_private) {
            return Ok(());
        }
        let port = url.port_or_known_default().unwrap_or(443);
        let mut named = self.allow_hosts.iter().filter(|pattern| pattern.matches(name)).peekable();
        if named.peek().is_none() {
            return Err(ForbiddenTarget::Host(name.to_owned()));
        }
        // A name alone cannot be judged before it is resolved; `forbids` holds plain http to opened addresses.
        if plain && self.allow_private.is_empty() {
            return Err(ForbiddenTarget::Plain);
        }
        let usual = if plain { 80 } else { 443 };
        if named.any(|pattern| pattern.port.unwrap_or(usual) == port) {
            Ok(())
        } else {
            Err(ForbiddenTarget::Port(port, name.to_owned()))
        }
    }

    fn check_address(&self, address: IpAddr) -> Result<(), ForbiddenTarget> {
        match address::is_forbidden(address, &self.allow_private) {
            None if address::is_opened(address, &self.allow_private) => Ok(()),
            Some(reason) if reason.contains("metadata") => Err(ForbiddenTarget::Closed(address, reason)),
            None | Some(_) => Err(ForbiddenTarget::Address(address)),
        }
    }
}

impl Target {
    /// The URL.
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// The origin without a slash at the end, such as `https://contoso.service-now.com`.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Whether it is called without TLS.
    pub fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// This origin with another path: `/oauth_token.do` for the token, `/api/now/table/incident` for a table.
    #[must_use]
    pub fn with_path(&self, path: &str) -> Self {
        let mut url = self.0.clone();
        url.set_query(None);
        url.set_path(path);
        Self(url)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl HostPattern {
    fn matches(&self, name: &str) -> bool {
        if self.below {
            name.strip_suffix(&self.name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            name == self.name
        }
    }
}

impl FromStr for HostPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let invalid = || InvalidPattern(text.chars().filter(|c| !c.is_control()).take(80).collect());
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| invalid())?)),
            None => (text, None),
        };
        let (name, below) = host.strip_prefix("*.").map_or((host, false), |name| (name, true));
        let label_fits = |label: &str| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-')
        };
        let labels = name.split('.').count();
        // `*.com` would allow the whole world, and an address is no name.
        let too_wide = below && labels < 2;
        let is_address = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        if !name.split('.').all(label_fits) || too_wide || is_address {
            return Err(invalid());
        }
        Ok(Self { name: name.to_ascii_lowercase(), below, port })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.below { "*." } else { "" };
        write!(f, "{star}{}", self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// URL parsers mend backslashes, tabs and line feeds, each in its own way; nobody needs them.
fn check_characters(text: &str) -> Result<(), ForbiddenTarget> {
    if text.chars().count() > TARGET_URL_CHARS_MAX {
        return Err(ForbiddenTarget::TooLong);
    }
    let is_strange = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
    if text.chars().any(is_strange) { Err(ForbiddenTarget::Characters) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow_private: &[&str]) -> EgressPolicy {
        EgressPolicy {
            allow_hosts: ["*.service-now.com", "soc.example", "sim.example:8443", "sim.example"]
                .map(|text| text.parse().unwrap())
                .to_vec(),
            allow_private: allow_private.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    fn check(url: &str, allow_private: &[&str]) -> Result<String, String> {
        let checked = policy(allow_private).check(url, Extent::Path);
        checked.map(|target| target.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn allowed_names_pass_over_https() {
        for good in [
            "https://contoso.service-now.com",
            "https://a.b.service-now.com/",
            "https://soc.example/hooks/snowgate?x=1",
            "https://CONTOSO.service-now.com",
            "https://sim.example:8443",
        ] {
            assert!(check(good, &[]).is_ok(), "{good}: {:?}", check(good, &[]));
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn whatever_leads_elsewhere_is_refused_with_the_reason() {
        for (url, reason) in [
            ("https://evil.example", "not in the operator's"),
            ("https://service-now.com", "not in the operator's"),
            ("https://evilservice-now.com", "not in the operator's"),
            ("https://contoso.service-now.com.evil.example", "not in the operator's"),
            ("https://evil.example/.service-now.com", "not in the operator's"),
            ("https://evil.example?.service-now.com", "not in the operator's"),
            ("https://printer.local", "not in the operator's"),
            ("https://metadata.google.internal", "not in the operator's"),
            ("https://instance-data", "not in the operator's"),
            ("https://localhost", "not in the operator's"),
            ("https://127.1", "is the address 127.0.0.1"),
            ("https://0x7f000001", "is the address 127.0.0.1"),
            ("https://2130706433", "is the address 127.0.0.1"),
            ("https://0177.0.0.1", "is the address 127.0.0.1"),
            ("https://017700000001", "is the address 127.0.0.1"),
            ("https://0x7f.1", "is the address 127.0.0.1"),
            ("https://127.0.0.1.", "is the address 127.0.0.1"),
            ("https://%31%32%37.1", "is the address 127.0.0.1"),
            ("https://①②⑦.1", "is the address 127.0.0.1"),
            ("https://0", "is the address 0.0.0.0"),
            ("https://0xa9fea9fe", "metadata"),
            ("https://2852039166", "metadata"),
            ("https://169.254.169.254", "metadata"),
            ("https://[::ffff:a9fe:a9fe]", "metadata"),
            ("https://[0:0:0:0:0:ffff:7f00:1]", "is the address"),
            ("https://[::127.0.0.1]", "is the address"),
            ("https://[::]", "is the address ::"),
            ("https://[fe80::1]", "is the address fe80::1"),
            ("https://[fd12::1]", "is the address fd12::1"),
            ("https://[64:ff9b::7f00:1]", "is the address"),
            ("https://[64:ff9b:1::a9fe:a9fe]", "is the address"),
            ("https://[2002:a9fe:a9fe::]", "is the address"),
            ("https://10.0.0.1", "is the address 10.0.0.1"),
            ("https://256.1.1.1", "not a URL"),
            ("https://[::1%25lo]", "not a URL"),
            ("https://[::1]", "is the address ::1"),
            ("https://1.1.1.1", "is the address 1.1.1.1"),
            ("https://[::ffff:169.254.169.254]", "metadata"),
            ("https://[64:ff9b::a9fe:a9fe]", "metadata"),
            ("https://[fd00:ec2::254]", "metadata"),
            ("https://100.100.100.200", "metadata"),
            ("https://[2002:7f00:1::]", "is the address"),
            ("http://contoso.service-now.com", "plain `http:`"),
            ("https://user@contoso.service-now.com", "user name or password"),
            ("https://user:pw@contoso.service-now.com", "user name or password"),
            ("https://@contoso.service-now.com", "user name or password"),
            ("https://evil.example\u{ff03}@contoso.service-now.com", "user name or password"),
            ("https://contoso.service-now.com:22", "port 22"),
            ("https://contoso.service-now.com:80", "port 80"),
            ("https://contoso.service-now.com:0", "port 0"),
            ("https://contoso.service-now.com:99999", "not a URL"),
            ("https://contoso.service-now.com.", "ends in a dot"),
            ("https://contoso.sеrvice-now.com", "internationalised"), // a Cyrillic е
            ("https://xn--contso-9ta.service-now.com", "internationalised"),
            ("https://XN--contso-9ta.service-now.com", "internationalised"),
            ("https://contoso。service-now.com", "internationalised"), // an ideographic full stop
            ("https://ⓒontoso.service-now.com", "internationalised"),
            ("https://contoso.service-now.com%2eevil.example", "not in the operator's"),
            ("https://contoso.service-now.com%00.evil.example", "not a URL"),
            ("ftp://contoso.service-now.com", "`ftp:` is not a scheme"),
            ("file:///etc/passwd", "`file:` is not a scheme"),
            ("gopher://contoso.service-now.com:25/x", "`gopher:` is not a scheme"),
            ("javascript:alert(1)", "`javascript:` is not a scheme"),
            ("unix:/run/docker.sock", "`unix:` is not a scheme"),
            ("contoso.service-now.com", "not a URL"),
            ("https:\\\\contoso.service-now.com", "backslashes"),
            ("https://contoso.service-now.com\n.evil.example", "control characters"),
            ("https://contoso.service-now.com#x", "fragment"),
            ("", "not a URL"),
        ] {
            let error = check(url, &[]).expect_err(url);
            assert!(error.contains(reason), "{url}: {error}");
        }
    }

    #[test]
    fn an_error_never_shows_a_password() {
        assert!(!check("https://user:hunter2@contoso.service-now.com", &[]).unwrap_err().contains("hunter2"));
    }

    #[test]
    fn the_operator_can_open_this_machine_for_a_simulator() {
        let open = ["127.0.0.0/8", "::1"];
        for good in ["http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost:9000", "https://127.0.0.1"] {
            assert!(check(good, &open).is_ok(), "{good}: {:?}", check(good, &open));
        }
        assert!(check("http://10.0.0.1", &open).is_err());
        assert!(check("http://169.254.169.254", &["169.254.0.0/16"]).is_err());
    }

    #[test]
    fn plain_http_to_a_name_is_dialled_only_at_opened_addresses() {
        let policy = policy(&["10.0.0.0/8"]);
        let plain = policy.check("http://sim.example", Extent::Origin).unwrap();
        assert_eq!(policy.forbids(&plain, "10.0.0.7".parse().unwrap()), None);
        assert_eq!(policy.forbids(&plain, "1.1.1.1".parse().unwrap()), Some("not opened for plain http"));
        let secure = policy.check("https://soc.example", Extent::Origin).unwrap();
        assert_eq!(policy.forbids(&secure, "1.1.1.1".parse().unwrap()), None);
        assert_eq!(policy.forbids(&secure, "192.168.0.1".parse().unwrap()), Some("private"));
    }

    #[test]
    fn an_instance_is_an_origin() {
        let check = |url| policy(&[]).check(url, Extent::Origin);
        assert_eq!(check("https://contoso.service-now.com/").unwrap().origin(), "https://contoso.service-now.com");
        for bad in ["https://contoso.service-now.com/login.do", "https://contoso.service-now.com?x"] {
            assert_eq!(check(bad), Err(ForbiddenTarget::NotAnOrigin), "{bad}");
        }
        let token = check("https://contoso.service-now.com").unwrap().with_path("/oauth_token.do");
        assert_eq!(token.to_string(), "https://contoso.service-now.com/oauth_token.do");
    }

    #[test]
    fn patterns_are_names_and_not_too_wide() {
        for good in ["soc.example", "*.service-now.com", "soc.example:8443", "simulator"] {
            assert_eq!(good.parse::<HostPattern>().unwrap().to_string(), good);
        }
        for bad in ["", "*", "*.com", "a..b", "*.*.com", "a.*.com", "https://a.b", "1.2.3.4", "a b", "a.b:x", ".a.b"] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }
}
