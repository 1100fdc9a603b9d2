//! What a mapping file says, before anyone asked whether it makes sense.
//!
//! Owns: the grammar. Each block of keys is declared once, by `block!`, which gives the struct, its JSON Schema for editors and its
//! reader; so the schema, the list of known keys and the nearest-key hints cannot differ. Every text keeps its bytes.
//! Never: looks at meaning (that is `compile`). Fails: it notes every wrong type, unknown key and unknown word, and goes on.
//! Proved by: the table of broken files in `tests/mappings.rs`.

use schemars::JsonSchema;

use super::diagnostic::{At, Notes};
use super::yaml::{Kind, Node};

mod read;
mod source;

pub(crate) use read::{Block, Expected, FromYaml, Json, Named, Said, Scalar, Tree};
use read::{block, choice};
pub use source::schema as source_schema;
pub(crate) use source::{RawAlso, RawEntry, RawSlot, RawSource, RawSourceCase};

block! {
    /// A mapping file: one kind of bridge between a managed service and a ServiceNow table, both directions.
    RawMapping "a mapping" {
        /// The version of this language; 1.
        #[schemars(required)]
        version "version": Said<u64>,
        /// What this mapping is called in messages and in the console.
        #[schemars(required)]
        name "name": Said<String>,
        /// For people.
        description "description": Said<String>,
        /// Which table tickets live in.
        #[schemars(required)]
        target "target": RawTarget,
        /// Value tables: canonical value to ticket value. `default` is the row for everything else.
        tables "tables": Named<Named<Scalar>>,
        /// From the managed service to ServiceNow.
        #[schemars(required)]
        to_ticket "to_ticket": RawToTicket,
        /// From ServiceNow to the managed service.
        to_incident "to_incident": RawToIncident,
        /// What to do when the two sides do not fit.
        policy "policy": RawPolicy,
        /// Examples that `snowgate check` runs.
        cases "cases": Vec<RawCase>,
    }
}

block! {
    /// Where tickets are written: a table, or an import set that transforms into one.
    RawTarget "a target" {
        /// A table, such as `incident`.
        table "table": Said<String>,
        /// A staging table, such as `u_rooms_incident`.
        import_set "import_set": Said<String>,
    }
}

block! {
    /// From the managed service to ServiceNow.
    RawToTicket "the way to the ticket" {
        /// Ticket fields by their database names.
        fields "fields": Named<RawField>,
        /// Fields added or replaced for one kind of change, such as `incident.resolved`.
        on "on": Named<Named<RawField>>,
        /// Journal field by visibility: `public: comments`. A message of a visibility that is not listed is not written.
        messages "messages": Named<Said<String>>,
        /// Which files are copied; none without this block.
        attachments "attachments": RawAttachments,
    }
}

/// A ticket field: a text with `{{ … }}`, a number, or a block that says more.
#[derive(Debug)]
pub(crate) enum RawField {
    Short(Scalar),
    Long(Box<RawFieldBody>),
}

block! {
    /// A ticket field with everything that can be said about it.
    RawFieldBody "a field" {
        /// A text with `{{ … }}`, or a number.
        #[schemars(required)]
        value "value": Scalar,
        /// The value table the value goes through.
        table "table": Said<String>,
        /// Finds the record the value names, and writes its `sys_id`.
        lookup "lookup": RawLookup,
        /// The field is only written when this is true.
        when "when": Scalar,
        /// When it is written: once, whenever its mapped value changes, or with every change.
        on "on": Said<Write>,
        /// The longest value in characters; anything longer is cut.
        max "max": Said<u64>,
    }
}

choice! {
    /// When a field is written.
    pub Write "when a field is written" {
        /// Only when the ticket is created; afterwards it belongs to the people.
        Create = "create",
        /// When the ticket is created, and whenever its mapped value changed since we last wrote it.
        Change = "change",
        /// With every change.
        Always = "always",
    }
}

block! {
    /// Finds a record by a field of it.
    RawLookup "a lookup" {
        /// The table to look in.
        #[schemars(required)]
        table "table": Said<String>,
        /// The field that has the value.
        #[schemars(required)]
        by "by": Said<String>,
        /// What to do when there is none.
        missing "missing": RawMissing,
    }
}

/// What to do when a lookup finds nothing.
#[derive(Debug)]
pub(crate) enum RawMissing {
    Word(Said<MissingWord>),
    Block(RawMissingUse),
}

choice! {
    /// What to do when a lookup finds nothing.
    pub(crate) MissingWord "what to do when nothing is found" {
        /// Stop and ask a person.
        Park = "park",
        /// Leave the field out.
        Skip = "skip",
    }
}

block! {
    /// A value to write when a lookup finds nothing.
    RawMissingUse "what to do when nothing is found" {
        /// The value, usually a `sys_id`.
        #[schemars(required)]
        value "use": Scalar,
    }
}

block! {
    /// Which files are copied.
    RawAttachments "attachments" {
        /// The largest file: `10MB`, `500KB` or a number of bytes.
        max_bytes "max_bytes": Scalar,
        /// Media types, with `*` behind the slash: `image/*`.
        types "types": Vec<Said<String>>,
    }
}

block! {
    /// From ServiceNow to the managed service.
    RawToIncident "the way to the incident" {
        /// Incident state by ticket state; a block chooses by condition: `{awaiting_external: "{{ … }}", default: …}`.
        state "state": Named<RawStateBack>,
        /// Incident fields by their names.
        fields "fields": Named<RawField>,
        /// Visibility by journal field: `comments: public`. `work_notes` leave the tenant only if listed.
        messages "messages": Named<Said<String>>,
        /// Which files are copied.
        attachments "attachments": RawAttachments,
        /// When a ticket that no incident knows opens one.
        opens "opens": RawOpens,
    }
}

/// The incident state of a ticket state.
#[derive(Debug)]
pub(crate) enum RawStateBack {
    Word(Said<String>),
    Choice(At, Named<Scalar>),
}

block! {
    /// When a ticket opens an incident.
    RawOpens "when a ticket opens an incident" {
        /// The condition.
        #[schemars(required)]
        when "when": Scalar,
    }
}

block! {
    /// What to do when the two sides do not fit.
    RawPolicy "a policy" {
        /// What an update does to a resolved or closed ticket.
        closed_ticket "closed_ticket": Said<ClosedTicket>,
        /// What a resolved incident does to its ticket.
        recovery "recovery": Said<Recovery>,
        /// What a delivery that needs a person does to the ones behind it.
        on_parked "on_parked": RawOnParked,
    }
}

choice! {
    /// What an update does to a resolved or closed ticket.
    pub ClosedTicket "what to do with a closed ticket" {
        /// A resolved ticket is reopened; for a closed one, which cannot be, a new one is made.
        ReopenOrNew = "reopen_or_new",
        /// Only a comment is added.
        CommentOnly = "comment_only",
        /// Stop and ask a person.
        Park = "park",
    }
}

choice! {
    /// What a resolved incident does to its ticket.
    pub Recovery "what a recovery does" {
        /// The ticket is resolved.
        Resolve = "resolve",
        /// Only a comment is added; a person resolves.
        CommentOnly = "comment_only",
        /// Nothing.
        Ignore = "ignore",
    }
}

block! {
    /// What a delivery that needs a person does to the ones behind it.
    RawOnParked "what to do behind a parked delivery" {
        /// When the ticket could not be created.
        create "create": Said<OnParked>,
        /// When a message could not be added.
        message "message": Said<OnParked>,
        /// When a change of fields could not be written.
        change "change": Said<OnParked>,
    }
}

choice! {
    /// What the deliveries behind a parked one do.
    pub OnParked "what to do behind a parked delivery" {
        /// They wait for the person.
        Park = "park",
        /// They go on without it.
        Skip = "skip",
    }
}

block! {
    /// An example, run by `snowgate check`: an `event` on its way to the ticket, or a `ticket` on its way back.
    RawCase "a case" {
        /// What it shows.
        #[schemars(required)]
        name "name": Said<String>,
        /// The event: its `type`, and what its `data` holds.
        event "event": Json,
        /// The ticket: raw value by column, or `{value: …, display: …}`. Columns that are not named are empty.
        ticket "ticket": Named<RawCell>,
        /// Who raised the incident of the ticket; `customer` if it is not said.
        origin "origin": Said<CaseOrigin>,
        /// What lookups find: by table, then by value, the `sys_id`.
        lookups "lookups": Named<Named<Scalar>>,
        /// What must come of it.
        #[schemars(required)]
        expect "expect": RawExpect,
    }
}

block! {
    /// What must come of a case; only what is named is compared. A field that must not be written is `null`.
    RawExpect "an expectation" {
        /// The fields of the ticket that is created.
        create "create": Named<Expected>,
        /// The fields of the ticket that is updated.
        update "update": Named<Expected>,
        /// The fields that cannot be mapped, so that a person must look.
        parked "parked": Vec<Said<String>>,
        /// A message, a file or a recovery that is left out: a part of the reason.
        dropped "dropped": Said<String>,
        /// What the ticket says about its incident: `{state: resolved, assignee: {name: …}}`.
        incident "incident": Tree,
        /// Whether the ticket opens an incident.
        opens "opens": Said<bool>,
        /// The visibility under which the entries of each journal leave the tenant; `null` for those that stay.
        messages "messages": Named<Expected>,
    }
}

choice! {
    /// Who raised an incident.
    pub(crate) CaseOrigin "who raised an incident" {
        /// The telemetry of the managed service.
        System = "system",
        /// The customer.
        Customer = "customer",
    }
}

/// A column of a ticket in a case.
#[derive(Debug)]
pub(crate) enum RawCell {
    Raw(Scalar),
    Both(RawCellBody),
}

block! {
    /// A column with what people see.
    RawCellBody "a column" {
        /// The raw value.
        #[schemars(required)]
        value "value": Scalar,
        /// What people see.
        display "display": Scalar,
    }
}

impl RawExpect {
    /// Where it speaks of the ticket that is written.
    pub(crate) fn of_the_event(&self) -> Option<At> {
        let first = |fields: &Option<Named<Expected>>| fields.as_ref().map(|_| self.at);
        first(&self.create).or_else(|| first(&self.update))
    }

    /// Where it speaks of the incident that is told.
    pub(crate) fn of_the_ticket(&self) -> Option<At> {
        let incident = self.incident.as_ref().map(|incident| incident.node.at);
        incident
            .or_else(|| self.opens.as_ref().map(|opens| opens.at))
            .or_else(|| self.messages.as_ref().map(|_| self.at))
    }
}

impl FromYaml for RawField {
    fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(_) => RawFieldBody::from_yaml(node, notes).map(|body| Self::Long(Box::new(body))),
            Kind::Null | Kind::Flag(_) | Kind::Number(_) | Kind::Text(_) | Kind::List(_) => {
                Scalar::from_yaml(node, notes).map(Self::Short)
            }
        }
    }
}

impl FromYaml for RawMissing {
    fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(_) => RawMissingUse::from_yaml(node, notes).map(Self::Block),
            Kind::Null | Kind::Flag(_) | Kind::Number(_) | Kind::Text(_) | Kind::List(_) => {
                Said::from_yaml(node, notes).map(Self::Word)
            }
        }
    }
}

impl FromYaml for RawStateBack {
    fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(_) => Named::from_yaml(node, notes).map(|choices| Self::Choice(node.at, choices)),
            Kind::Null | Kind::Flag(_) | Kind::Number(_) | Kind::Text(_) | Kind::List(_) => {
                Said::from_yaml(node, notes).map(Self::Word)
            }
        }
    }
}

impl FromYaml for RawCell {
    fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(_) => RawCellBody::from_yaml(node, notes).map(Self::Both),
            Kind::Null | Kind::Flag(_) | Kind::Number(_) | Kind::Text(_) | Kind::List(_) => {
                Scalar::from_yaml(node, notes).map(Self::Raw)
            }
        }
    }
}

/// The JSON Schema of a value that has a short form and a block form.
macro_rules! either_schema {
    ($name:ident, $short:ty, $long:ty) => {
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let (short, long) = (generator.subschema_for::<$short>(), generator.subschema_for::<$long>());
                schemars::json_schema!({"anyOf": [short, long]})
            }
        }
    };
}

either_schema!(RawField, Scalar, RawFieldBody);
either_schema!(RawMissing, MissingWord, RawMissingUse);
either_schema!(RawCell, Scalar, RawCellBody);
either_schema!(RawStateBack, Said<String>, Named<Scalar>);

/// The JSON Schema of mapping files, for editors.
pub fn schema() -> serde_json::Value {
    schema_of::<RawMapping>("Snowgate mapping")
}

fn schema_of<T: JsonSchema>(title: &str) -> serde_json::Value {
    let mut generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
    let schema = generator.root_schema_for::<T>();
    let mut value = schema.to_value();
    without_null(&mut value);
    if let Some(root) = value.as_object_mut() {
        root.insert("title".into(), title.into());
    }
    value
}

/// Optional keys may be left out, but not be `null`; the derive says otherwise for every `Option`.
fn without_null(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|word| word != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(options)) = map.get_mut("anyOf") {
                options.retain(|option| option.get("type").is_none_or(|kind| kind != "null"));
                if let [Value::Object(only)] = options.as_slice() {
                    let only = only.clone();
                    map.remove("anyOf");
                    map.extend(only);
                }
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
