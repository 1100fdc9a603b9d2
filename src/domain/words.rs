//! The closed word lists of the canonical model: severity, state, owner and the like.
//!
//! Owns: which words we know. The lists are closed for us and open for senders: a word we do not know becomes
//! `unknown`, and the reader keeps what was said beside it (`severity_raw`). Never: refuses a word.
//! Fails: it cannot. Proved by: the tests here and the round trip in `incident`.

/// A word list: every value has one lower-case word on the wire.
pub trait Word: Copy + Sized + 'static {
    /// Every word, `unknown` last.
    const WORDS: &'static [&'static str];
    /// The value of a word, whatever its case; `None` for a word we do not know.
    fn known(text: &str) -> Option<Self>;
    /// The value that stands for every word we do not know.
    fn unknown() -> Self;
    /// The word on the wire.
    fn as_str(self) -> &'static str;
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$word_doc])* $variant,)*
            /// A word we do not know; what was said is kept in the field's `…_raw`.
            Unknown,
        }

        impl Word for $name {
            const WORDS: &'static [&'static str] = &[$($word,)* "unknown"];
            fn known(text: &str) -> Option<Self> {
                $(if text.eq_ignore_ascii_case($word) {
                    return Some(Self::$variant);
                })*
                text.eq_ignore_ascii_case("unknown").then_some(Self::Unknown)
            }
            fn unknown() -> Self {
                Self::Unknown
            }
            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Unknown => "unknown",
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// How bad it is, after normalisation.
    Severity {
        /// Breaks meetings now, for many or for important people.
        Critical = "critical",
        /// Probably breaks meetings now.
        High = "high",
        /// Degraded.
        Medium = "medium",
        /// A planning notice.
        Low = "low",
        /// Nothing to do.
        Informational = "informational",
    }
}

words! {
    /// Where the incident stands in the managed service.
    State {
        /// Nobody looked at it yet.
        New = "new",
        /// A person or an automatism looks at it.
        Investigating = "investigating",
        /// The customer must act.
        NeedsCustomerAction = "needs_customer_action",
        /// The provider works on it.
        ProviderWorking = "provider_working",
        /// Redirected to a manufacturer or another support organisation.
        AwaitingExternal = "awaiting_external",
        /// The effect is gone, the cause is not.
        Mitigated = "mitigated",
        /// Solved; may come back.
        Resolved = "resolved",
        /// Over.
        Closed = "closed",
        /// Was not one.
        Cancelled = "cancelled",
        /// Goes on under another incident.
        Merged = "merged",
    }
}

impl State {
    /// Whether nothing more is expected to happen, unless it is reopened.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Resolved | Self::Closed | Self::Cancelled | Self::Merged)
    }
}

words! {
    /// What sort of record it is.
    Kind {
        /// Something is broken.
        Incident = "incident",
        /// A monitor fired.
        Alert = "alert",
        /// Something to know.
        Advisory = "advisory",
        /// Planned work.
        MaintenanceNotice = "maintenance_notice",
        /// Someone wants something.
        ServiceRequest = "service_request",
    }
}

words! {
    /// Who raised it; decides who may close it and how long inactivity is tolerated.
    Origin {
        /// Telemetry of the managed service.
        System = "system",
        /// The customer.
        Customer = "customer",
        /// A partner acting for the customer.
        Partner = "partner",
        /// People of the managed service.
        Provider = "provider",
        /// Another monitoring tool.
        Tool = "tool",
    }
}

words! {
    /// A party: who has to act, or who wrote something.
    Owner {
        /// The customer.
        Customer = "customer",
        /// The managed service.
        Provider = "provider",
        /// A partner acting for the customer.
        Partner = "partner",
        /// The manufacturer.
        Oem = "oem",
        /// The vendor's general support.
        MainstreamSupport = "mainstream_support",
        /// Another company.
        ThirdParty = "third_party",
        /// A machine.
        Automation = "automation",
    }
}

words! {
    /// What is affected.
    AffectedKind {
        /// A meeting room.
        Room = "room",
        /// A device that stands for a room.
        Device = "device",
        /// A camera, microphone, display and the like.
        Peripheral = "peripheral",
        /// A machine.
        Host = "host",
        /// A person.
        User = "user",
        /// A service.
        Service = "service",
        /// A resource in a cloud.
        CloudResource = "cloud_resource",
    }
}

words! {
    /// How the affected thing is.
    Health {
        /// Works.
        Healthy = "healthy",
        /// Has at least one serious incident.
        Unhealthy = "unhealthy",
        /// Cannot be reached, so what we know is old.
        Disconnected = "disconnected",
        /// Silenced on purpose.
        Suppressed = "suppressed",
        /// Not in service yet.
        Onboarding = "onboarding",
    }
}

words! {
    /// Who may read a message.
    Visibility {
        /// Everyone, the person who raised the ticket included.
        Public = "public",
        /// Only those who work on it.
        Internal = "internal",
    }
}

words! {
    /// To whom an incident is escalated.
    Channel {
        /// The managed service's operation centre.
        ProviderSoc = "provider_soc",
        /// The manufacturer.
        Oem = "oem",
        /// Microsoft's general support.
        MicrosoftMainstream = "microsoft_mainstream",
        /// Another company's support.
        ThirdParty = "third_party",
        /// The provider of sign-in.
        AuthProvider = "auth_provider",
        /// The customer.
        Customer = "customer",
    }
}

words! {
    /// What an incident is about when the managed service does not end it by itself: its table of what is supported, and
    /// by whom the rest is.
    SupportArea {
        /// Third-party software, and what only the manufacturer can set.
        ServiceConfiguration = "service_configuration",
        /// The room's account and its sign-in.
        RoomAccount = "room_account",
        /// A camera, a microphone, a loudspeaker or a display.
        Peripheral = "peripheral",
        /// A device that is to be replaced.
        Rma = "rma",
        /// Why it happened.
        RootCause = "root_cause",
        /// The quality of calls and of the network.
        MeetingExperience = "meeting_experience",
        /// Bringing a room up to the recommended standard.
        RemediationOnboarding = "remediation_onboarding",
    }
}

words! {
    /// Why it is over.
    ResolutionCode {
        /// The customer repaired it.
        FixedByCustomer = "fixed_by_customer",
        /// The provider repaired it.
        FixedByProvider = "fixed_by_provider",
        /// Telemetry is healthy again.
        SelfHealed = "self_healed",
        /// Known under another incident.
        Duplicate = "duplicate",
        /// There was nothing.
        FalseAlarm = "false_alarm",
        /// Nobody answered.
        Inactivity = "inactivity",
        /// The monitor was switched off.
        SignalDisabled = "signal_disabled",
        /// None of these.
        Other = "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_known_whatever_their_case() {
        assert_eq!(Severity::known("High"), Some(Severity::High));
        assert_eq!(State::known("needs_customer_action"), Some(State::NeedsCustomerAction));
        assert_eq!(Severity::known("sev4"), None);
    }

    #[test]
    fn every_word_leads_back_to_itself() {
        for word in State::WORDS {
            assert_eq!(State::known(word).map(State::as_str), Some(*word));
        }
    }
}
