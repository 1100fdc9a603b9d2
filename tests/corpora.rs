//! Everything that fuzzing found worth keeping, played again: a parser that was mended stays mended. How it is run is in
//! `fuzz/README.md`.

#![expect(clippy::print_stdout, reason = "the name of a file is the report, should playing it panic")]

#[path = "../fuzz/checks.rs"]
mod checks;

use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new("fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).expect("every target has a corpus");
    let files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    assert!(files.len() >= 3, "{} has next to nothing", folder.display());
    for file in files {
        let bytes = std::fs::read(&file).expect("it was listed");
        println!("{}", file.display());
        check(&bytes);
    }
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name), checks::$name);
        })*

        #[test]
        fn every_target_is_played_and_built() {
            let manifest = std::fs::read_to_string("fuzz/Cargo.toml").expect("it is committed");
            let built = manifest.lines().filter(|line| line.starts_with("name = ") && !line.contains("snowgate-fuzz")).count();
            let played = [$(stringify!($name)),*];
            assert_eq!(built, played.len());
            for target in played {
                assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
                assert!(Path::new("fuzz/targets").join(format!("{target}.rs")).exists(), "{target}");
            }
        }
    };
}

targets!(
    answer_waits,
    answers,
    credentials,
    events,
    expressions,
    mappings,
    payloads,
    signatures,
    source_files,
    tenant_files,
    webhooks,
);
