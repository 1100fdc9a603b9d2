//! Which faults happen how often: a plan that people write as `answer_lost=50,zombie=20:8000,first=200`.
//!
//! Owns: the plan, its text form and what is wrong with one. Never: rolls dice (that is `faults`).
//! Fails: with one sentence that names the part and says what fits. Proved by: the tables below.
//!
//! Rates are per mille of the calls in scope. After the rate, some fates take arguments: `zombie=20:8000` is 20 ‰, applied
//! 8,000 ms later. Scope: `verbs=POST+PATCH`, `path=/table/incident` (a part of the path), `first=N` (only the first N
//! calls in scope), `budget=N` (at most N faults), `seed=N`.

use std::fmt;

use serde_json::Value;

use super::faults::Fate;
use crate::limits::SIM_FAULT_MILLIS_MAX;

/// One kind of fault and how often it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What happens.
    pub fate: Fate,
    /// In how many of a thousand calls.
    pub per_mille: u32,
}

/// See the module's text. The default plan has no faults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// Where the luck comes from.
    pub seed: u64,
    /// The faults; their rates sum up to 1000 at most.
    pub rates: Vec<Rate>,
    /// Verbs in scope, upper case; empty is all.
    pub verbs: Vec<String>,
    /// A part of the path that calls in scope contain; empty is all.
    pub path: String,
    /// Only so many calls in scope are considered; `None` is all.
    pub first: Option<u64>,
    /// At most so many faults happen; `None` is without end.
    pub budget: Option<u64>,
}

/// A plan that says nothing we understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidFaultPlan(String);

impl fmt::Display for InvalidFaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidFaultPlan {}

fn invalid<T>(message: String) -> Result<T, InvalidFaultPlan> {
    Err(InvalidFaultPlan(message))
}

impl FaultPlan {
    /// Reads the text form; the empty text is the plan without faults.
    pub fn parse(text: &str) -> Result<Self, InvalidFaultPlan> {
        let mut plan = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((name, setting)) = part.split_once('=') else {
                return invalid(format!("`{part}` is not `name=value`"));
            };
            plan.take(name.trim(), setting.trim())?;
        }
        plan.checked()
    }

    /// Reads `{"seed": 7, "zombie": "20:8000", "verbs": ["POST"]}`, or a JSON string in the text form.
    pub fn from_json(value: &Value) -> Result<Self, InvalidFaultPlan> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Object(settings) => {
                let mut plan = Self::default();
                for (name, setting) in settings {
                    plan.take(name, &setting_text(name, setting)?)?;
                }
                plan.checked()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                invalid("a fault plan is an object or a text".to_owned())
            }
        }
    }

    fn take(&mut self, name: &str, setting: &str) -> Result<(), InvalidFaultPlan> {
        match name {
            "seed" => self.seed = number(name, setting)?,
            "first" => self.first = Some(number(name, setting)?),
            "budget" => self.budget = Some(number(name, setting)?),
            "path" => setting.clone_into(&mut self.path),
            "verbs" => self.verbs = setting.split('+').map(str::to_ascii_uppercase).collect(),
            _ => self.rates.push(rate(name, setting)?),
        }
        Ok(())
    }

    fn checked(self) -> Result<Self, InvalidFaultPlan> {
        let sum: u32 = self.rates.iter().map(|rate| rate.per_mille).fold(0, u32::saturating_add);
        if sum > 1_000 {
            return invalid(format!("the rates sum up to {sum} per mille; 1000 is all calls"));
        }
        Ok(self)
    }
}

/// The text form again; parsing it gives the same plan.
impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = vec![format!("seed={}", self.seed)];
        parts.extend(
            self.rates.iter().map(|rate| format!("{}={}{}", rate.fate.word(), rate.per_mille, arguments(rate.fate))),
        );
        if !self.verbs.is_empty() {
            parts.push(format!("verbs={}", self.verbs.join("+")));
        }
        if !self.path.is_empty() {
            parts.push(format!("path={}", self.path));
        }
        parts.extend(self.first.map(|first| format!("first={first}")));
        parts.extend(self.budget.map(|budget| format!("budget={budget}")));
        f.write_str(&parts.join(","))
    }
}

fn setting_text(name: &str, setting: &Value) -> Result<String, InvalidFaultPlan> {
    match setting {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Array(items) => Ok(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("+")),
        Value::Null | Value::Bool(_) | Value::Object(_) => invalid(format!("`{name}` takes a number or a text")),
    }
}

fn number(name: &str, text: &str) -> Result<u64, InvalidFaultPlan> {
    text.parse().map_or_else(|_| invalid(format!("`{name}={text}`: `{text}` is not a number")), Ok)
}

/// `20:8000` as a rate and the fate's arguments.
fn rate(name: &str, setting: &str) -> Result<Rate, InvalidFaultPlan> {
    let mut parts = setting.split(':');
    let per_mille = number(name, parts.next().unwrap_or_default())?;
    let per_mille = u32::try_from(per_mille).unwrap_or(u32::MAX);
    let arguments: Vec<&str> = parts.collect();
    let fate = match name {
        "delay" => Fate::Delay { ms: millis(name, &arguments, 1_000)? },
        "answer_lost" => Fate::AnswerLost,
        "zombie" => Fate::Zombie { ms: millis(name, &arguments, 5_000)? },
        "reset_before" => Fate::ResetBefore,
        "not_executed_202" => Fate::NotExecuted202,
        "html_ok" => Fate::HtmlOk,
        "partial_ok" => Fate::PartialOk,
        "forbidden_after_commit" => Fate::ForbiddenAfterCommit,
        "rate_limited" => Fate::RateLimited { retry_after_secs: optional(name, &arguments, 60)? },
        "semaphore_full" => Fate::SemaphoreFull,
        "unauthorized" => Fate::Unauthorized,
        "server_error" => server_error(name, &arguments)?,
        "slow_answer" => Fate::SlowAnswer { ms: millis(name, &arguments, 2_000)? },
        _ => return invalid(format!("`{name}` is no fault; there are: {}", Fate::WORDS.join(", "))),
    };
    if arguments.len() > fate_arguments(fate) {
        return invalid(format!("`{name}={setting}` has too many parts"));
    }
    Ok(Rate { fate, per_mille })
}

const fn fate_arguments(fate: Fate) -> usize {
    match fate {
        Fate::Delay { .. } | Fate::Zombie { .. } | Fate::SlowAnswer { .. } | Fate::RateLimited { .. } => 1,
        Fate::ServerError { .. } => 2,
        Fate::Normal
        | Fate::AnswerLost
        | Fate::ResetBefore
        | Fate::NotExecuted202
        | Fate::HtmlOk
        | Fate::PartialOk
        | Fate::ForbiddenAfterCommit
        | Fate::SemaphoreFull
        | Fate::Unauthorized => 0,
    }
}

fn optional(name: &str, arguments: &[&str], default: u64) -> Result<u64, InvalidFaultPlan> {
    arguments.first().map_or(Ok(default), |text| number(name, text))
}

fn millis(name: &str, arguments: &[&str], default: u64) -> Result<u64, InvalidFaultPlan> {
    let ms = optional(name, arguments, default)?;
    if ms > SIM_FAULT_MILLIS_MAX {
        return invalid(format!("`{name}` waits {ms} ms; {SIM_FAULT_MILLIS_MAX} is the most"));
    }
    Ok(ms)
}

/// `server_error=10:503`, `server_error=10:500:applied`.
fn server_error(name: &str, arguments: &[&str]) -> Result<Fate, InvalidFaultPlan> {
    let status = optional(name, arguments, 503)?;
    let status = u16::try_from(status).ok().filter(|status| (500..600).contains(status));
    let Some(status) = status else { return invalid(format!("`{name}` takes a status from 500 to 599")) };
    match arguments.get(1) {
        None => Ok(Fate::ServerError { status, applied: false }),
        Some(&"applied") => Ok(Fate::ServerError { status, applied: true }),
        Some(other) => invalid(format!("`{name}`: `{other}` is not `applied`")),
    }
}

/// What follows the rate in the text form.
fn arguments(fate: Fate) -> String {
    match fate {
        Fate::Delay { ms } | Fate::Zombie { ms } | Fate::SlowAnswer { ms } => format!(":{ms}"),
        Fate::RateLimited { retry_after_secs } => format!(":{retry_after_secs}"),
        Fate::ServerError { status, applied } => format!(":{status}{}", if applied { ":applied" } else { "" }),
        Fate::Normal
        | Fate::AnswerLost
        | Fate::ResetBefore
        | Fate::NotExecuted202
        | Fate::HtmlOk
        | Fate::PartialOk
        | Fate::ForbiddenAfterCommit
        | Fate::SemaphoreFull
        | Fate::Unauthorized => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let plan = FaultPlan::parse(text);
        let printed = plan.as_ref().map(ToString::to_string).map_err(ToString::to_string);
        assert_eq!(printed.as_deref().map_err(String::as_str), expected, "{text}");
        if let (Ok(plan), Ok(printed)) = (plan, printed) {
            assert_eq!(FaultPlan::parse(&printed), Ok(plan), "printing and parsing agree");
        }
    }

    #[test]
    fn plans_are_read_and_printed() {
        check("", Ok("seed=0"));
        check(
            "answer_lost=50, zombie=20:8000,seed=7,verbs=post+PATCH",
            Ok("seed=7,answer_lost=50,zombie=20:8000,verbs=POST+PATCH"),
        );
        check(
            "delay=1,slow_answer=2:30,rate_limited=3,first=100,budget=5,path=/table/incident",
            Ok("seed=0,delay=1:1000,slow_answer=2:30,rate_limited=3:60,path=/table/incident,first=100,budget=5"),
        );
        check(
            "server_error=10,server_error=5:500:applied",
            Ok("seed=0,server_error=10:503,server_error=5:500:applied"),
        );
        let every: Vec<String> = Fate::WORDS.iter().map(|word| format!("{word}=1")).collect();
        assert_eq!(FaultPlan::parse(&every.join(",")).map(|plan| plan.rates.len()), Ok(Fate::WORDS.len()));
    }

    #[test]
    fn wrong_plans_are_explained() {
        check("zombie", Err("`zombie` is not `name=value`"));
        check("zombie=x", Err("`zombie=x`: `x` is not a number"));
        check("zombie=1:700000", Err("`zombie` waits 700000 ms; 600000 is the most"));
        check("html_ok=1:2", Err("`html_ok=1:2` has too many parts"));
        check("server_error=1:404", Err("`server_error` takes a status from 500 to 599"));
        check("server_error=1:500:yes", Err("`server_error`: `yes` is not `applied`"));
        check("html_ok=600,answer_lost=600", Err("the rates sum up to 1200 per mille; 1000 is all calls"));
        let unknown = FaultPlan::parse("zomby=1").map_err(|error| error.to_string());
        assert!(
            unknown.is_err_and(|text| text.starts_with("`zomby` is no fault; there are: delay, answer_lost, zombie"))
        );
    }

    #[test]
    fn json_says_the_same() {
        let value = json!({"seed": 7, "zombie": "20:8000", "html_ok": 5, "verbs": ["POST", "PATCH"]});
        let text = "seed=7,zombie=20:8000,html_ok=5,verbs=POST+PATCH";
        assert_eq!(FaultPlan::from_json(&value).map(|plan| plan.to_string()), Ok(text.to_owned()));
        assert_eq!(FaultPlan::from_json(&json!(text)).map(|plan| plan.to_string()), Ok(text.to_owned()));
        assert!(FaultPlan::from_json(&json!(3)).is_err());
    }
}
