//! A PostgreSQL that is restarted, cut off, held up, or replaced by a copy that lacks the last commits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use snowgate::runtime::tasks;
use tokio::time::Instant;

use crate::support::chaos::{Chaos, Deed, Trouble, Way, When};
use crate::support::faults::proven;
use crate::support::fleet::{Fleet, Stories};
use crate::support::postgres::{Database, Server, Session, Stop};
use crate::support::{Event, Gateway, Home, Instance, Tenant, eventually, within};

/// What a gateway may say of a database that is not there.
fn expects_trouble(gateway: &Gateway) {
    for text in ["PostgreSQL", "Cannot", "store"] {
        gateway.logs_error(text);
    }
}

fn behind(chaos: &Chaos, database: &str, instance: &Instance) -> Home {
    let home = Home::of(&[Tenant::named("contoso", instance.url())]).leasing("8s");
    home.keep_at(&format!("postgres://postgres@{}/{database}", chaos.address()));
    home
}

/// How often it is restarted, and what is told meanwhile, again and again.
fn monkey() -> (usize, Stories) {
    if is_long() { (15, Stories { incidents: 60, messages: 17 }) } else { (6, Stories { incidents: 30, messages: 10 }) }
}

fn is_long() -> bool {
    std::env::var_os("SNOWGATE_LONG").is_some()
}

/// Waits for the moment of the next restart: in the long form 5 to 40 s, else until some more has been written.
async fn moment(instance: &Instance, restart: usize) {
    let luck = u64::from(uuid::Uuid::now_v7().as_bytes()[15]);
    if is_long() {
        // The monkey's own pace, and nothing that the test waits for.
        return tokio::time::sleep(Duration::from_secs(5 + luck % 36)).await;
    }
    within(Duration::from_mins(10), "so much has been written", async || {
        (instance.writes("POST") + instance.writes("PATCH") >= 45 * (restart + 1)).then_some(())
    })
    .await;
}

/// Restarts the server again and again, each time in another way, and says when it is over.
async fn restart_now_and_then(mut server: Server, instance: &Instance, restarts: usize, over: &AtomicBool) -> Server {
    for restart in 0..restarts {
        moment(instance, restart).await;
        let restarted = tasks::blocking("restart", move || {
            match restart % 3 {
                0 => server.restart(Stop::Fast),
                1 => server.restart(Stop::Immediate),
                _ => {
                    server.kill();
                    server.start();
                }
            }
            server
        });
        server = restarted.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    server
}

#[tokio::test]
async fn a_database_that_is_restarted_again_and_again_costs_503s_and_nothing_else() {
    let (restarts, each) = monkey();
    let server = Server::own();
    let database = server.database();
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url())]).leasing("8s");
    home.keep_at(database.url());
    let fleet = Fleet::start(&home, 2).await;
    fleet.all().for_each(|gateway| expects_trouble(&gateway));
    let pids: Vec<_> = fleet.all().map(|gateway| gateway.pid()).collect();
    let (over, begun) = (AtomicBool::new(false), Instant::now());
    let (server, stories) =
        tokio::join!(restart_now_and_then(server, &instance, restarts, &over), fleet.tell_until(&over, each));
    let took = begun.elapsed();
    let verdicts = fleet.judge(stories, &instance).await;
    assert_eq!(fleet.all().map(|gateway| gateway.pid()).collect::<Vec<_>>(), pids, "no replica was started again");
    proven(
        "F19",
        "a_database_that_is_restarted_again_and_again_costs_503s_and_nothing_else",
        &format!(
            "{restarts} restarts (fast, immediate, killed) in {} s during {} events at 2 replicas: {}; {verdicts}; no \
             replica was started again",
            took.as_secs(),
            stories.events(),
            fleet.seen()
        ),
    );
    drop((fleet, database, server));
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_unknown_and_the_repeat_settles_it() {
    let server = Server::shared();
    let database = server.database();
    let instance = Instance::start();
    let port = database.url().rsplit_once(':').unwrap().1.split_once('/').unwrap().0;
    let chaos = Chaos::before(format!("127.0.0.1:{port}").parse().unwrap());
    let home = behind(&chaos, database.name(), &instance);
    let gateway = home.start().await;
    expects_trouble(&gateway);
    for (number, deed, stored) in [(1, Deed::LoseAnswer, true), (2, Deed::Reset, false)] {
        let event = Event::opened(&format!("MTR-{number}"));
        // The event's body passes once: in the statement that stores it.
        let when = When::Seen(if number == 1 { b"Fault of MTR-1" } else { b"Fault of MTR-2" });
        chaos.strikes(Trouble { way: Way::There, when, deed, times: 1 });
        let unknown = gateway.post(&event).await.expect(503);
        assert!(!unknown.header("retry-after").is_empty());
        assert_eq!(chaos.struck(), number);
        let rows = || database.query(&format!("select count(*) from lane where incident = 'MTR-{number}'")).unwrap();
        eventually("the server is done", async || (rows().trim() == if stored { "1" } else { "0" }).then_some(()))
            .await;
        let again = gateway.post(&event).await;
        assert_eq!(again.status, if stored { 200 } else { 202 }, "{}", again.text);
        assert_eq!(again.json()["sequence"], 1);
        assert_eq!(rows().trim(), "1");
    }
    gateway.quiet().await;
    assert_eq!(instance.writes("POST"), 2);
    proven(
        "F20",
        "a_commit_whose_answer_is_lost_is_unknown_and_the_repeat_settles_it",
        "cut after the commit: 503, then 200 with place 1; cut before it: 503, then 202; 1 row and 1 ticket each",
    );
}

/// Takes a copy of a server, as a standby that falls behind from here on.
fn copy_of(server: &Server) -> impl FnOnce(&std::path::Path) + use<> {
    let source = server.socket();
    move |data| crate::support::postgres::base_backup(source, data)
}

#[tokio::test]
async fn a_copy_that_lacks_the_last_commits_makes_no_second_ticket_and_loses_what_is_said() {
    let primary = Server::own();
    let database = primary.database();
    let chaos = Chaos::before(primary.socket());
    let instance = Instance::start();
    let home = behind(&chaos, database.name(), &instance);
    let gateway = home.start().await;
    expects_trouble(&gateway);
    let names = |letter: &str| (1..=5).map(|number| format!("{letter}-{number}")).collect::<Vec<_>>();
    let (kept, done, lost) = (names("KEPT"), names("DONE"), names("LOST"));
    let lever = async |word: &str| gateway.ask(Method::POST, &format!("/v1/tenants/contoso/{word}")).await.expect(200);
    let post = async |incidents: &[String]| {
        for incident in incidents {
            gateway.post(&Event::opened(incident)).await.expect(202);
        }
    };
    lever("pause").await;
    post(&kept).await;
    let fill = copy_of(&primary);
    let (mut primary, mut copy) = tasks::blocking("copy", move || {
        let copy = Server::own_from(&[], fill);
        (primary, copy)
    })
    .await
    .unwrap();
    // What the copy does not see: the ends of these, the beginnings and ends of those, and what nobody has worked on.
    lever("resume").await;
    post(&done).await;
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 10);
    lever("pause").await;
    post(&lost).await;
    primary.kill();
    chaos.leads_to(copy.socket());
    chaos.resets();
    eventually("it works on the copy", async || {
        (gateway.ask(Method::POST, "/v1/tenants/contoso/resume").await.status == 200).then_some(())
    })
    .await;
    gateway.quiet().await;
    let known = gateway.deliveries("").await;
    let incidents: Vec<_> = known.iter().map(|delivery| delivery["incident"].as_str().unwrap().to_owned()).collect();
    assert_eq!(incidents, kept, "the copy knows what was accepted before it, and nothing else");
    for incident in kept.iter().chain(&done) {
        drop(instance.ticket_of(incident));
    }
    assert!(lost.iter().all(|incident| instance.tickets_of(incident).is_empty()), "these are lost, as is said");
    // Whoever kept their events sends them again: what is done already stays one ticket.
    post(&done).await;
    post(&lost).await;
    gateway.quiet().await;
    for incident in kept.iter().chain(&done).chain(&lost) {
        drop(instance.ticket_of(incident));
    }
    assert_eq!(instance.tickets().len(), 15);
    proven(
        "F21",
        "a_copy_that_lacks_the_last_commits_makes_no_second_ticket_and_loses_what_is_said",
        "a copy without the last commits took over: 5 lost completions were found by looking (0 second tickets), exactly the \
         5 accepts nobody had worked on are lost, as asynchronous replication does; sent again, 15 incidents have 15 tickets",
    );
    copy.stop(Stop::Immediate);
    gateway.kill_quietly();
}

#[tokio::test]
async fn a_session_that_holds_its_transaction_open_holds_up_nothing() {
    let stories = Stories { incidents: 20, messages: 6 };
    let server = Server::shared();
    let database = server.database();
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url())]).leasing("8s");
    home.keep_at(database.url());
    let fleet = Fleet::start(&home, 1).await;
    // Old rows cannot be cleared away while its snapshot lives.
    let mut hog = Session::open(database.url());
    hog.says("begin isolation level repeatable read; select count(*) from delivery;");
    fleet.tell(stories).await;
    fleet.quiet().await;
    let verdicts = fleet.judge(stories, &instance).await;
    let held = database.query("select count(*) from pg_stat_activity where datname = current_database() and state = 'idle in transaction' and backend_xmin is not null").unwrap();
    assert_eq!(held.trim(), "1", "the hog is still there");
    proven(
        "F22",
        "a_session_that_holds_its_transaction_open_holds_up_nothing",
        &format!("{} events while a stranger's snapshot was held: {verdicts}", stories.events()),
    );
    drop((hog, fleet));
}

/// Starts a gateway that comes as far as this query counts to 1, sends it SIGTERM and waits for its end.
async fn stopped_at_its_start(home: &Home, database: &Database, stands: &str) {
    let mut command = home.command(&["serve", "--config", "snowgate.yaml"]);
    let mut starting = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    eventually("it stands there", async || (database.query(stands).unwrap().trim() == "1").then_some(())).await;
    let signalled = std::process::Command::new("kill").args(["-TERM", &starting.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    let ended = within(Duration::from_secs(20), "it ends", async || starting.try_wait().unwrap()).await;
    assert!(!ended.success(), "what never served is no success: {ended:?}");
}

/// Three replicas at once make the schema, each step once, and work.
async fn three_start_and_migrate(home: &Home, database: &Database, instance: &Instance) {
    let replicas = home.replicas(3).await;
    replicas[0].post(&Event::opened("MTR-1")).await.expect(202);
    replicas[1].quiet().await;
    drop(instance.ticket_of("MTR-1"));
    let steps = database.query("select count(*) = max(version) from migration").unwrap();
    assert_eq!(steps.trim(), "t", "each step once");
}

#[tokio::test]
async fn a_stop_during_the_wait_for_a_migration_is_heeded_and_the_next_start_migrates() {
    let database = Server::shared().database();
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url())]).leasing("8s");
    home.keep_at(database.url());
    // Somebody else migrates, and does not come to an end.
    let mut other = Session::open(database.url());
    other.says("begin; select pg_advisory_xact_lock(6011865110877728631);");
    let waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted \
                 and database = (select oid from pg_database where datname = current_database())";
    stopped_at_its_start(&home, &database, waits).await;
    drop(other);
    three_start_and_migrate(&home, &database, &instance).await;
    proven(
        "F25",
        "a_stop_during_the_wait_for_a_migration_is_heeded_and_the_next_start_migrates",
        "SIGTERM while waiting for another migration: ended; then 3 started at once on the empty database, each step once",
    );
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_migration_undoes_it_and_the_next_start_migrates() {
    let database = Server::shared().database();
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url())]).leasing("8s");
    home.keep_at(database.url());
    // Somebody makes a table of a name that the step wants, and has not decided yet: the step stands still in its middle.
    let mut other = Session::open(database.url());
    other.says("begin; create table audit (number bigint);");
    let stands = "select count(*) from pg_locks join pg_stat_activity using (pid) \
                  where locktype = 'transactionid' and not granted and datname = current_database()";
    stopped_at_its_start(&home, &database, stands).await;
    other.says("rollback;");
    let connected = "select count(*) from pg_stat_activity where datname = current_database() \
                     and pid <> pg_backend_pid() and application_name not like 'psql%'";
    eventually("the server noticed", async || (database.query(connected).unwrap().trim() == "0").then_some(())).await;
    let left = database.query("select count(*) from pg_tables where schemaname = 'public'").unwrap();
    assert_eq!(left.trim(), "0", "the half that was done is undone");
    three_start_and_migrate(&home, &database, &instance).await;
    proven(
        "F25",
        "a_stop_in_the_middle_of_a_migration_undoes_it_and_the_next_start_migrates",
        "SIGTERM with half of the first step done: ended, 0 tables left; then 3 started at once, each step once",
    );
}
