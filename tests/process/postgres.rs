//! The tests' own PostgreSQL: shared, and of one's own.

use crate::support::postgres::{Server, Stop, database};

#[test]
fn databases_of_the_shared_server_are_apart_and_go_with_their_tests() {
    let (one, other) = (database(), database());
    one.query("create table things (id int)").unwrap();
    assert!(other.query("select * from things").unwrap_err().contains("does not exist"));
    assert_eq!(one.query("show fsync").unwrap().trim(), "on");
    let name = one.name().to_owned();
    drop(one);
    let left = other.query(&format!("select count(*) from pg_database where datname = '{name}'")).unwrap();
    assert_eq!(left.trim(), "0");
}

#[test]
fn a_server_of_ones_own_can_be_stopped_killed_and_started_again() {
    let mut server = Server::own();
    let database = server.database();
    database.query("create table things (id int); insert into things values (1)").unwrap();
    server.stop(Stop::Fast);
    database.query("select 1").unwrap_err();
    server.start();
    server.kill();
    server.start();
    server.restart(Stop::Immediate);
    assert_eq!(database.query("select id from things").unwrap().trim(), "1");
}
