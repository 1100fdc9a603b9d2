//! Which of an instance's states is which, by what people call them.
//!
//! Owns: the guess. Never: makes up a state. Fails: it cannot; without any state at all the mapping writes none.
//! Proved by: the tests here.

use super::{ChoiceFacts, TableFacts, pick};

/// The instance's states by their meaning.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct States<'f> {
    /// Every state, in the instance's order.
    pub(super) all: Vec<&'f ChoiceFacts>,
    pub(super) new: Option<&'f ChoiceFacts>,
    pub(super) working: Option<&'f ChoiceFacts>,
    pub(super) waiting: Option<&'f ChoiceFacts>,
    pub(super) resolved: Option<&'f ChoiceFacts>,
    pub(super) cancelled: Option<&'f ChoiceFacts>,
    /// States that end a ticket and that we do not write.
    pub(super) closed: Vec<&'f ChoiceFacts>,
}

impl<'f> States<'f> {
    pub(super) fn of(facts: &'f TableFacts) -> Self {
        // A quote would end the text that conditions compare with; no real state has one.
        let all: Vec<_> = facts.choices_of("state").into_iter().filter(|choice| !choice.value.contains('\'')).collect();
        let cancelled = pick(&all, &["cancel", "withdrawn", "void"]);
        let resolved = pick(&all, &["resolved", "closed complete", "solved", "closed"]);
        let closed: Vec<_> =
            all.iter().filter(|choice| is_closed(choice) && Some(**choice) != resolved).copied().collect();
        let over = |choice: &&&ChoiceFacts| {
            Some(**choice) == cancelled || Some(**choice) == resolved || closed.contains(*choice)
        };
        let open: Vec<&ChoiceFacts> = all.iter().filter(|choice| !over(choice)).copied().collect();
        let waiting = pick(&open, &["on hold", "awaiting", "pending", "waiting"]);
        let acting: Vec<&ChoiceFacts> = open.iter().filter(|choice| Some(**choice) != waiting).copied().collect();
        let new = pick(&acting, &["new", "open", "draft"]).or_else(|| acting.first().copied());
        let later: Vec<&ChoiceFacts> = acting.iter().filter(|choice| Some(**choice) != new).copied().collect();
        let working = pick(&later, &["in progress", "progress", "assigned", "analysis", "open", "active"])
            .or_else(|| later.first().copied())
            .or(new);
        Self { all, new, working, waiting, resolved, cancelled, closed }
    }

    /// What a state of the instance means to the managed service.
    pub(super) fn word(&self, state: &ChoiceFacts) -> &'static str {
        let is = |known: Option<&ChoiceFacts>| known == Some(state);
        match () {
            () if is(self.resolved) => "resolved",
            () if is(self.cancelled) => "cancelled",
            () if is_closed(state) => "closed",
            () if is(self.new) => "new",
            () if is(self.waiting) || is_waiting(state) => "awaiting_external",
            () => "investigating",
        }
    }
}

fn is_closed(choice: &ChoiceFacts) -> bool {
    choice.label.to_lowercase().contains("closed")
}

fn is_waiting(choice: &ChoiceFacts) -> bool {
    let label = choice.label.to_lowercase();
    ["on hold", "awaiting", "pending", "waiting"].iter().any(|word| label.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// New, working, waiting, resolved, cancelled; then the word of each state.
    fn check(states: &[(&str, &str)], meant: [&str; 5], words: &[&str]) {
        let choice = |(value, label): &(&str, &str)| ChoiceFacts { value: (*value).into(), label: (*label).into() };
        let choices = [("state".to_owned(), states.iter().map(choice).collect())].into();
        let facts = TableFacts { choices, ..TableFacts::default() };
        let states = States::of(&facts);
        let found = [states.new, states.working, states.waiting, states.resolved, states.cancelled];
        assert_eq!(found.map(|state| state.map_or("", |state| &*state.value)), meant);
        assert_eq!(states.all.iter().map(|state| states.word(state)).collect::<Vec<_>>(), words);
    }

    #[test]
    fn states_are_known_by_what_people_call_them() {
        check(
            &[
                ("1", "New"),
                ("2", "In Progress"),
                ("3", "On Hold"),
                ("6", "Resolved"),
                ("7", "Closed"),
                ("8", "Canceled"),
            ],
            ["1", "2", "3", "6", "8"],
            &["new", "investigating", "awaiting_external", "resolved", "closed", "cancelled"],
        );
        check(
            &[("1", "New"), ("10", "Open"), ("18", "Awaiting Info"), ("6", "Resolved"), ("3", "Closed")],
            ["1", "10", "18", "6", ""],
            &["new", "investigating", "awaiting_external", "resolved", "closed"],
        );
        check(
            &[
                ("-5", "Pending"),
                ("1", "Open"),
                ("2", "Work in Progress"),
                ("3", "Closed Complete"),
                ("4", "Closed Incomplete"),
            ],
            ["1", "2", "-5", "3", ""],
            &["awaiting_external", "new", "investigating", "resolved", "closed"],
        );
        check(
            &[("10", "Draft"), ("16", "Analysis"), ("18", "Contain"), ("3", "Closed"), ("7", "Cancelled")],
            ["10", "16", "", "3", "7"],
            &["new", "investigating", "investigating", "resolved", "cancelled"],
        );
        check(&[("1", "Only")], ["1", "1", "", "", ""], &["new"]);
        check(&[], ["", "", "", "", ""], &[]);
    }
}
